"""Levers that change what is sent to a model."""
