"""The clouds that companies buy models from: their addresses, credentials and envelopes."""
