"""Template tags and filters of analytics."""
