"""Budgets: money is held before a call, and its cost is booked after the call."""
