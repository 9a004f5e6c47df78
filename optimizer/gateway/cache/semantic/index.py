"""An index of questions in memory: grouped by context, searched by meaning."""

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
    """The questions of one context.

    ``vectors`` has shape (capacity, dimensions); a row of zeros is free.
    """

    vectors: NDArray[np.float32]
    prompts: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    free: list[int] = field(default_factory=list)

    def put(self, vector: Vector, prompt: str, key: str) -> int:
        """Store a question in a free row, and return the row's number."""
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
    """An index of at most ``limit`` questions; beyond that, the oldest one is removed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._contexts: dict[str, _Context] = {}
        self._places: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def add(self, context: str, vector: Vector, prompt: str, key: str) -> None:
        """Add a question, unless ``key`` (the cache entry's) is in the index already."""
        if key in self._places:
            return
        questions = self._contexts.get(context)
        if questions is None:
            questions = _Context(np.zeros((0, vector.shape[0]), np.float32))
            self._contexts[context] = questions
        self._places[key] = (context, questions.put(vector, prompt, key))
        if len(self._places) > self._limit:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        _, (context, row) = self._places.popitem(last=False)
        questions = self._contexts[context]
        questions.clear(row)
        if len(questions.free) == len(questions.keys):
            del self._contexts[context]

    def nearest(
        self, context: str, vector: Vector, threshold: float, most: int = 5
    ) -> Iterator[tuple[float, str, str]]:
        """Yield likeness, prompt and key of up to ``most`` similar questions, most similar first.

        ``threshold`` is the least likeness, -1 to 1.
        """
        questions = self._contexts.get(context)
        if questions is None:
            return
        likeness = questions.vectors[: len(questions.keys)] @ vector
        near = np.flatnonzero(likeness >= threshold)
        for row in near[np.argsort(-likeness[near], kind="stable")][:most]:
            if questions.keys[row]:
                yield float(likeness[row]), questions.prompts[row], questions.keys[row]
