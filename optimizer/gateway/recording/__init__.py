"""Prices requests and writes their records."""
