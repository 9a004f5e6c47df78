"""What workers share: Redis, circuits, background tasks, secrets."""
