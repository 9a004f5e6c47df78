"""What stands before Django: limits, authentication, and the fast path to the endpoints."""
