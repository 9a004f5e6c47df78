"""The endpoints of the OpenAI API: chat completions, responses, embeddings, models."""
