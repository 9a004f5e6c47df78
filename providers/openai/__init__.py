"""The OpenAI chat completions API, and the providers that use it."""
