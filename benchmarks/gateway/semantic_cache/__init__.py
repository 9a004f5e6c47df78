"""How often the semantic cache is right: paraphrases should hit, near misses should not."""
