"""Budgets: money is held before a call and settled after it."""
