"""Finds answers that were given before."""
