"""What operators change while the service runs, put into force on each worker."""
