"""Google's Gemini API, as its clients call it."""
