"""Questions in memory, by the context they were asked in, searched by meaning."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from optimizer.gateway.cache.semantic.embedding import Vector

_GROWTH = 16


@dataclass(slots=True)
class _Context:
    """``vectors`` has shape (capacity, dimensions); a row of zeros is free."""

    vectors: NDArray[np.float32]
    prompts: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    free: list[int] = field(default_factory=list)

    def put(self, vector: Vector, prompt: str, key: str) -> int:
        """The row that it was put into."""
        if self.free:
            row = self.free.pop()
            self.prompts[row], self.keys[row] = prompt, key
        else:
            row = len(self.keys)
            self.prompts.append(prompt)
            self.keys.append(key)
            if row == len(self.vectors):
                more = np.zeros((max(_GROWTH, row), vector.shape[0]), np.float32)
                self.vectors = np.concatenate([self.vectors, more])
        self.vectors[row] = vector
        return row

    def clear(self, row: int) -> None:
        self.vectors[row] = 0
        self.prompts[row] = self.keys[row] = ""
        self.free.append(row)


class SemanticIndex:
    """At most ``limit`` questions; the oldest is forgotten first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._contexts: dict[str, _Context] = {}
        self._places: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def add(self, context: str, vector: Vector, prompt: str, key: str) -> None:
        """``key`` is the cache entry's; one that is known already stays as it is."""
        if key in self._places:
            return
        found = self._contexts.get(context)
        if found is None:
            found = _Context(np.zeros((0, vector.shape[0]), np.float32))
            self._contexts[context] = found
        self._places[key] = (context, found.put(vector, prompt, key))
        if len(self._places) > self._limit:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        _, (context, row) = self._places.popitem(last=False)
        holder = self._contexts[context]
        holder.clear(row)
        if len(holder.free) == len(holder.keys):
            del self._contexts[context]

    def nearest(
        self, context: str, vector: Vector, threshold: float, most: int = 5
    ) -> Iterator[tuple[float, str, str]]:
        """Likeness, prompt and key of questions at least ``threshold`` alike, best first."""
        found = self._contexts.get(context)
        if found is None:
            return
        likeness = found.vectors[: len(found.keys)] @ vector
        near = np.flatnonzero(likeness >= threshold)
        for row in near[np.argsort(-likeness[near], kind="stable")][:most]:
            if found.keys[row]:
                yield float(likeness[row]), found.prompts[row], found.keys[row]
