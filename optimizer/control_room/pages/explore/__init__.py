"""The page "Explore": spending filtered, grouped, compared, explained, and kept as views."""
