"""Ratings, judgements and what they say about models."""
