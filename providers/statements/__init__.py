"""What providers state that they charged: their reports by API, exports and CSV files."""
