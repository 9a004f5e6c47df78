"""What every endpoint shares: requests, replies, JSON, server-sent events, failures."""
