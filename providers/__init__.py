"""Clients of LLM providers: one for each wire protocol, with one registry and one catalogue.

This package uses no ORM and does not know routing.
"""
