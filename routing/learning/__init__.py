"""Estimates of each model's quality on each kind of prompt, learned from outcomes."""
