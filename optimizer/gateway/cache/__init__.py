"""The response cache: finds answers given before."""
