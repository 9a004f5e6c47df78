"""Benchmarks of the control room."""
