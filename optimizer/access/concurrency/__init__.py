"""Limits on concurrent requests, with a fair queue for those beyond the limit."""
