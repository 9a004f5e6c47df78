"""Decides which model answers a prompt.

Pure Python: no ORM, no HTTP, no Django. What it needs to know about the world
(which models exist, what they cost, how they did) is handed in as plain values.
"""
