"""Amazon Bedrock: its Converse API, and Anthropic's body by InvokeModel."""
