"""Prices as operators set them, and the baselines that savings are compared with."""
