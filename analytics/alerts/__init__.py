"""Alerts and digests: what is watched, what is raised and resolved, and what waits to be sent."""
