"""Clients of LLM providers: one per wire protocol, one registry, one catalogue.

No ORM and no knowledge of routing.
"""
