"""Reads the requests of Gemini's API."""
