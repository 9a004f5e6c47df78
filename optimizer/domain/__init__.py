"""The nouns of the service: a request, its client, its options, its result."""
