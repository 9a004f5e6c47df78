"""Recorded outcomes: the results of several models on the same prompts.

One JSON object a line, plain or gzipped: ``id``, ``benchmark``, ``prompt`` and
``outcomes``, which maps a model to its ``quality`` (0-1), ``input_tokens`` and
``output_tokens``.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

Prices = Mapping[str, tuple[Decimal, Decimal]]
"""USD per million input and output tokens, by recorded model."""


class OutcomesError(ValueError):
    """A file of outcomes cannot be read; the message names the file and the line."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one model: ``quality`` 0-1; tokens are ``None`` if not recorded."""

    quality: float
    input_tokens: int | None
    output_tokens: int | None


@dataclass(frozen=True, slots=True)
class RecordedPrompt:
    """One prompt and the outcome of every model on it."""

    id: str
    benchmark: str
    prompt: str
    outcomes: dict[str, Outcome]


def read_outcomes(paths: Iterable[Path]) -> Iterator[RecordedPrompt]:
    """Yield the prompts of all files, in order. Raise :class:`OutcomesError` for a bad file."""
    for path in paths:
        try:
            with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        yield _recorded(line, f"{path}, line {number}")
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise OutcomesError(f"{path}: cannot be read ({type(error).__name__})") from error


def _recorded(line: str, where: str) -> RecordedPrompt:
    try:
        raw = json.loads(line)
        return RecordedPrompt(
            str(raw["id"]),
            str(raw["benchmark"]),
            str(raw["prompt"]),
            {model: _outcome(entry) for model, entry in raw["outcomes"].items()},
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise OutcomesError(f"{where}: not a recorded prompt ({error})") from error


def _outcome(raw: dict[str, Any]) -> Outcome:
    quality = float(raw["quality"])
    if not 0 <= quality <= 1:
        raise ValueError("quality must be between 0 and 1")
    return Outcome(quality, _tokens(raw["input_tokens"]), _tokens(raw["output_tokens"]))


def _tokens(raw: Any) -> int | None:
    if raw is None:
        return None
    if int(raw) < 0:
        raise ValueError("token counts must not be negative")
    return int(raw)
