"""The endpoints of our own API."""
