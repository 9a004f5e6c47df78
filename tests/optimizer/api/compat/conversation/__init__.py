"""Conversations of ten turns: every client API, every provider's wire, whole and streamed."""
