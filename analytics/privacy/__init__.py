"""Personal data: masking before storage, and encryption at rest."""
