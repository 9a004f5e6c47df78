"""POST /v1/completions: the older API, whose prompts and answers are plain text."""
