"""Results as text, the same for the terminal and the admin."""
