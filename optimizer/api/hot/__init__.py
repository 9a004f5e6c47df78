"""The endpoints that answer prompts: one function each, served with as little as they need."""
