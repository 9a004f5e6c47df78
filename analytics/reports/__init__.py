"""Spending and savings: figures, reports and statements."""
