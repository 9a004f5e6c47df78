"""What if: other policies on past requests."""
