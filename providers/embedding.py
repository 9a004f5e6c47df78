"""Embeddings: passed through as the provider gives them, and counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from providers.completion import Usage


@dataclass(frozen=True, slots=True)
class Embeddings:
    """``body`` is the provider's answer, in the shape of OpenAI's embeddings."""

    provider: str
    model: str
    body: Mapping[str, Any]
    usage: Usage


@runtime_checkable
class Embedder(Protocol):
    """A provider that embeds texts. Raises :class:`providers.errors.ProviderError`."""

    async def embed(self, model: str, body: Mapping[str, Any]) -> Embeddings: ...
