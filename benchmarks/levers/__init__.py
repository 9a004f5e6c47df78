"""Benchmarks of the levers, with simulated traffic whose truth is known."""
