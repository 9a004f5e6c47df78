"""Prices set by operators, and the baselines that savings are compared with."""
