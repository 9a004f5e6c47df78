"""Batches of requests at the providers that have them: sent, looked for, followed and read."""
