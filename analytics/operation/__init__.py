"""What operators change while the service runs: keys of providers, models, settings."""
