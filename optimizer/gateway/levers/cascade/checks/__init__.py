"""Checks of an answer: each decides whether it is good enough to be served."""
