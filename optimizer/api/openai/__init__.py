"""What the OpenAI API specifies: chat completions, responses, embeddings, models."""
