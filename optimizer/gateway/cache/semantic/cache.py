"""Finds the answer to the same question in other words, and learns of new answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from optimizer.gateway.cache.semantic.embedding import TextEmbedder
from optimizer.gateway.cache.semantic.index import SemanticIndex
from optimizer.gateway.cache.semantic.wording import may_share_answer, wording_of

# Longer texts say too much for one vector to tell two of them apart.
LONGEST_PROMPT = 500

Known = tuple[int, str, str, str]
"""An answer that was stored: its number, context, prompt and cache key."""
Load = Callable[[int], Iterable[Known]]
"""Stored answers after a number, in their order."""


@dataclass(frozen=True, slots=True)
class SemanticMatch:
    """``likeness`` is the cosine of both questions, -1 to 1; ``key`` the cache entry's."""

    likeness: float
    prompt: str
    key: str


class SemanticCache:
    """One a process. ``threshold`` is the least likeness of questions, ``word_threshold``
    that of each word and its counterpart; ``load`` reads what other workers stored.
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
        # The background thread adds what it loads while the event loop looks up.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._index)

    def find(self, context: str, prompt: str) -> SemanticMatch | None:
        """The most alike question of ``context`` that wants the same, if there is one."""
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
        """``prompt`` has an answer, under ``key`` in the cache."""
        if not context or not prompt or len(prompt) > LONGEST_PROMPT or key in self._index:
            return
        vector = self._embedder.embed(prompt)
        with self._lock:
            self._index.add(context, vector, prompt, key)

    def refresh(self) -> None:
        """Add what was stored since the last time, by whichever worker. Reads the database."""
        for number, context, prompt, key in self._load(self._last):
            self.add(context, prompt, key)
            self._last = number
