"""Meanings as vectors: static word embeddings, in this process, from what the package carries."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""Shape (dimensions,), of length 1."""


def semantic_available() -> bool:
    """Whether the package with the embeddings is installed."""
    return importlib.util.find_spec("wordllama") is not None


class TextEmbedder:
    """Embeds texts with WordLlama's 256 dimensions: about 50 µs for a question."""

    def __init__(self) -> None:
        import wordllama

        # The package carries its files, but looks for one of them elsewhere unless told so.
        folder = Path(wordllama.__file__).parent
        self._model: Any = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
        self._word: Callable[[str], Vector] = lru_cache(maxsize=20_000)(self.embed)

    def embed(self, text: str) -> Vector:
        found: Vector = self._model.embed([text], norm=True)[0].astype(np.float32)
        return found

    def alike(self, word: str, other: str) -> float:
        """The cosine of two words, -1 to 1."""
        return float(self._word(word) @ self._word(other))
