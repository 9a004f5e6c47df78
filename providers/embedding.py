"""Embeddings: the provider's answer, passed through unchanged, with its token usage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from providers.completion import Usage
from providers.large_json import LARGE_BYTES


@dataclass(frozen=True, slots=True)
class Embeddings:
    """An answer with embeddings; ``body`` has the shape of OpenAI's embeddings.

    ``member`` is the pool's member that gave it, "" without a pool.
    """

    provider: str
    model: str
    body: Mapping[str, Any]
    usage: Usage
    member: str = ""


@runtime_checkable
class Embedder(Protocol):
    """A provider that computes embeddings."""

    async def embed(self, model: str, body: Mapping[str, Any]) -> Embeddings:
        """Return the embeddings for ``body``, a request in the shape of OpenAI's.

        Raises :class:`providers.errors.ProviderError`.
        """
        ...


# What one text, token or number takes, in bytes of a long text.
_PER_VALUE = 16


def is_large_input(body: Mapping[str, Any]) -> bool:
    """Return whether the texts or tokens of a request are so many that a thread handles them."""
    inputs = body.get("input")
    items = inputs if isinstance(inputs, list) else [inputs]
    size = _PER_VALUE * len(items) + sum(
        len(item) if isinstance(item, str) else _PER_VALUE * len(item)
        for item in items
        if isinstance(item, (str, list))
    )
    return size > LARGE_BYTES


def is_large_answer(body: Mapping[str, Any]) -> bool:
    """Return whether the vectors of an answer are so many that a thread writes them."""
    data = body.get("data")
    if not isinstance(data, list) or not data or not isinstance(data[0], Mapping):
        return False
    first = data[0].get("embedding")
    if isinstance(first, str):
        return len(data) * len(first) > LARGE_BYTES
    return isinstance(first, list) and _PER_VALUE * len(data) * len(first) > LARGE_BYTES
