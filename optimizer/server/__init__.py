"""The layers before Django: limits, authentication and the fast path to the endpoints."""
