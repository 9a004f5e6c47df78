"""Metrics, traces, logs, alerts and health: what operators' own tools read."""
