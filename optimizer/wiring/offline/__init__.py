"""Services that answer without any provider: for the demo, replays and what-if."""
