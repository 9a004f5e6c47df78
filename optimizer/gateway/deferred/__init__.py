"""Requests that are answered later: accepted, gathered into batches, answered, delivered."""
