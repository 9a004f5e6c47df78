"""The Anthropic Messages API: requests, answers and streams."""
