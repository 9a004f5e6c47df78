"""Spending explored: filtered, grouped, compared with the period before, and explained."""
