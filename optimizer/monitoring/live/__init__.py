"""What is recorded, told to whoever watches at that moment."""
