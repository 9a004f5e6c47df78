"""Why something cannot be changed while the service runs."""

from __future__ import annotations


class SetElsewhere(Exception):
    """The environment sets this value and wins; the message names the variable."""


class UnknownTarget(LookupError):
    """There is no such provider, model, key or row; the message says what was looked for."""
