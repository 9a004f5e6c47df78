"""Budgets that hold: money is held before a call, and what it cost is booked after it."""
