"""Streamed answers, which several clients may share."""
