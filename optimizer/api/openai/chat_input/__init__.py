"""Read the parts of a chat completion request: messages, content, tools and reasoning."""
