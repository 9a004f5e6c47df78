"""OpenAI's endpoints for images, audio and moderation, and ranking in Cohere's and Jina's form."""
