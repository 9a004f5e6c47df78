"""Who may call the API, from where, how often and how much at once."""
