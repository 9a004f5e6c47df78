"""Benchmarks of levers."""
