"""Findings in words, the same for terminal and admin."""
