"""The endpoints of our own API, such as POST /complete."""
