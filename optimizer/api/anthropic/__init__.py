"""What the Anthropic API specifies: messages and their tokens counted."""
