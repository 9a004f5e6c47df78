"""Access control: API keys, client addresses, rate limits, concurrency limits, single sign-on."""
