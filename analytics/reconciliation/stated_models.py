"""Which model of the ledger a statement means: by its id, a dated snapshot of it, or its words."""

from __future__ import annotations

import re
from collections.abc import Collection

_DATE = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")
_WORD = re.compile(r"[a-z]+|\d+")


def ledger_model(stated: str, models: Collection[str]) -> str:
    """Return the model of ``models`` that ``stated`` means, else ``stated`` itself.

    "gpt-4o-2024-08-06" is "gpt-4o", and "Gemini 2.5 Flash Lite GA Text Output - Predictions" is
    "gemini-2.5-flash-lite" rather than "gemini-2.5-flash".
    """
    if not stated or stated in models:
        return stated
    undated = _DATE.sub("", stated)
    same = [model for model in models if undated in {model, _DATE.sub("", model)}]
    if same:
        return min(same)
    words = _words(stated)
    within = [model for model in models if _contains(words, _words(model))]
    return max(within, key=lambda model: (len(_words(model)), model), default=stated)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _contains(words: list[str], part: list[str]) -> bool:
    size = len(part)
    return size > 1 and any(words[at : at + size] == part for at in range(len(words) - size + 1))
