"""What levers save and cost."""
