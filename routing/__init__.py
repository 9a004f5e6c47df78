"""Decide which model answers a prompt.

This package is pure Python: no ORM, no HTTP, no Django. Callers pass in everything it needs
as plain values: which models exist, what they cost, and how well they answered.
"""
