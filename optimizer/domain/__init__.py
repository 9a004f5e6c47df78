"""The data types of the service: a request, its client, its options, its result."""
