"""Benchmarks of routing."""
