"""What the OpenAI and Anthropic endpoints share: options, streams, errors, routes."""
