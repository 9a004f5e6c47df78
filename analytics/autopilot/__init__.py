"""The autopilot's records: what it noticed, its trials with their evidence, its steps."""
