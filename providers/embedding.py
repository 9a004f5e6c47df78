"""Embeddings: the provider's answer, passed through unchanged, with its token usage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from providers.completion import Usage
from providers.large_json import LARGE_BYTES


@dataclass(frozen=True, slots=True)
class Embeddings:
    """An answer with embeddings; ``body`` has the shape of OpenAI's embeddings."""

    provider: str
    model: str
    body: Mapping[str, Any]
    usage: Usage


@runtime_checkable
class Embedder(Protocol):
    """A provider that computes embeddings."""

    async def embed(self, model: str, body: Mapping[str, Any]) -> Embeddings:
        """Return the embeddings for ``body``, a request in the shape of OpenAI's.

        Raises :class:`providers.errors.ProviderError`.
        """
        ...


def is_large_input(body: Mapping[str, Any]) -> bool:
    """Return whether the texts or tokens of a request are so many that a thread handles them."""
    inputs = body.get("input")
    items = inputs if isinstance(inputs, list) else [inputs]
    size = len(items) + sum(len(item) for item in items if isinstance(item, (str, list)))
    return size > LARGE_BYTES
