"""Tools to try things out: playground, what-if, rule previews, replay, connection tests."""
