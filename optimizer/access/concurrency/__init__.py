"""How many requests are served at the same time, and who is next when there are more."""
