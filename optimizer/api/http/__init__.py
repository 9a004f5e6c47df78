"""What all endpoints share: requests, replies, JSON, server-sent events, failures."""
