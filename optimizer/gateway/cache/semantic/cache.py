"""Finds the answer to the same question in other words, and adds new answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from optimizer.gateway.cache.semantic.embedding import TextEmbedder
from optimizer.gateway.cache.semantic.index import SemanticIndex
from optimizer.gateway.cache.semantic.wording import may_share_answer, wording_of

# Characters. A longer text says too much for one vector to distinguish it from another.
LONGEST_PROMPT = 500

Known = tuple[int, str, str, str]
"""A stored answer: its number, context, prompt and cache key."""
Load = Callable[[int], Iterable[Known]]
"""Returns the stored answers after a number, in order."""


@dataclass(frozen=True, slots=True)
class SemanticMatch:
    """A question with the same meaning.

    ``likeness`` is the cosine of both questions, -1 to 1; ``key`` is the cache entry's.
    """

    likeness: float
    prompt: str
    key: str


class SemanticCache:
    """The semantic cache of this process.

    ``threshold`` is the least likeness of two questions, ``word_threshold`` that of each word
    and its counterpart. ``load`` reads the answers that other workers stored. ``limit`` is the
    number of questions kept in memory.
    """

    def __init__(
        self,
        embedder: TextEmbedder,
        load: Load,
        *,
        threshold: float,
        word_threshold: float,
        limit: int,
    ) -> None:
        self._embedder = embedder
        self._load = load
        self._threshold = threshold
        self._word_threshold = word_threshold
        self._index = SemanticIndex(limit)
        self._last = 0
        # The background thread adds entries while the event loop looks questions up.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._index)

    def find(self, context: str, prompt: str) -> SemanticMatch | None:
        """Return the most similar question of ``context`` with the same meaning, if any."""
        if not context or len(prompt) > LONGEST_PROMPT:
            return None
        vector, wording = self._embedder.embed(prompt), wording_of(prompt)
        with self._lock:
            near = list(self._index.nearest(context, vector, self._threshold))
        for likeness, known, key in near:
            if may_share_answer(
                wording, wording_of(known), self._embedder.alike, self._word_threshold
            ):
                return SemanticMatch(likeness, known, key)
        return None

    def add(self, context: str, prompt: str, key: str) -> None:
        """Add ``prompt``, whose answer is under ``key`` in the cache."""
        if not context or not prompt or len(prompt) > LONGEST_PROMPT or key in self._index:
            return
        vector = self._embedder.embed(prompt)
        with self._lock:
            self._index.add(context, vector, prompt, key)

    def refresh(self) -> None:
        """Add the answers that any worker has stored since the last call. Reads the database."""
        for number, context, prompt, key in self._load(self._last):
            self.add(context, prompt, key)
            self._last = number
