"""What operators' own tools see: metrics, traces, and which request a log line is about."""
