"""What a gateway in Python is bounded by: servers that do less."""
