"""Builds the services from settings, starts them and stops them."""
