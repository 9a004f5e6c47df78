"""Budgets: the service holds money before a call and settles it afterwards."""
