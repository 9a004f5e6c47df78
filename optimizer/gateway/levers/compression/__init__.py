"""Sends long tool results shortened; the model can ask for what was left out."""
