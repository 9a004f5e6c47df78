"""Deprecated: import from :mod:`providers.completion`. It goes with the next release."""

from __future__ import annotations

import warnings

from providers.completion import Choice, Completion, CompletionRequest, Provider, Usage

__all__ = ["Choice", "Completion", "CompletionRequest", "Provider", "Usage"]

warnings.warn("providers.base is now providers.completion", DeprecationWarning, stacklevel=2)
