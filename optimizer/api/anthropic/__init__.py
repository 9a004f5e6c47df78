"""The endpoints of the Anthropic API: messages and token counts."""
