"""The OpenAI wire, and the providers that speak it."""
