"""Requests that are answered later, and the batches that answer them."""
