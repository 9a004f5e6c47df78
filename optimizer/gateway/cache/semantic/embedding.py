"""Text embeddings: static word vectors, computed in this process from the package's own files."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""A vector of length 1, with shape (dimensions,)."""


def semantic_available() -> bool:
    """Return whether the package with the embeddings is installed."""
    return importlib.util.find_spec("wordllama") is not None


class TextEmbedder:
    """Embeds texts as WordLlama vectors of 256 dimensions: about 50 µs per question."""

    def __init__(self) -> None:
        import wordllama

        # The package contains its files, but downloads one of them unless it gets the folder.
        folder = Path(wordllama.__file__).parent
        self._model: Any = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
        self._word: Callable[[str], Vector] = lru_cache(maxsize=20_000)(self.embed)

    def embed(self, text: str) -> Vector:
        """Return the vector of ``text``."""
        vector: Vector = self._model.embed([text], norm=True)[0].astype(np.float32)
        return vector

    def alike(self, word: str, other: str) -> float:
        """Return the cosine of two words, -1 to 1."""
        return float(self._word(word) @ self._word(other))
