"""Shared building blocks: Redis, circuits between workers, background tasks, secret files."""
