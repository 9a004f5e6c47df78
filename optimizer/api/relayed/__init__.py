"""Endpoints beside the answering ones: passed on to the provider that has what they are about."""
