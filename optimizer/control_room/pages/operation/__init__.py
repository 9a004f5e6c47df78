"""Pages on which operators change the service while it runs: providers, settings."""
