"""Files of RouterArena: prompts to decide on, models to choose from, graded answers.

The arena names a prompt by its index. Its files are JSON lists or JSON lines, and spell the
fields in several ways.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from routing.evaluation.arena import ArenaOutcome, PairKey
from routing.models import TIERS, ModelOption, ModelRef

_INDEX = ("global index", "global_index", "Global Index")
_PROMPT = ("prompt_formatted", "prompt", "question", "Question")
_MODEL = ("prediction", "llm_selected", "model", "model_name")
_ACCURACY = ("accuracy", "score", "quality")
_COST = ("cost", "inference_cost")
_NESTED = "evaluation_result"
_PROVIDER = "arena"
_CONTEXT = 128_000


class ArenaFileError(ValueError):
    """A file of the arena cannot be read; the message names the file and the entry."""


@dataclass(frozen=True, slots=True)
class ArenaPrompt:
    """A prompt with the index by which the arena knows it."""

    index: str
    prompt: str


class ArenaModels:
    """The models of an arena's price list, as routing chooses among them."""

    def __init__(self, options: tuple[ModelOption, ...]) -> None:
        self._options = options
        self._by_name = {option.model: option for option in options}

    def options(self) -> tuple[ModelOption, ...]:
        """Return all of them."""
        return self._options

    def named(self, models: frozenset[ModelRef]) -> tuple[ModelOption, ...]:
        """Return those of ``models`` that the price list has."""
        return tuple(option for option in self._options if option.ref in models)

    def cost(self, model: str, input_tokens: int, output_tokens: int) -> Decimal | None:
        """Return the USD cost of an answer; ``None`` if the model is not in the price list."""
        option = self._by_name.get(model)
        return None if option is None else option.expected_cost(input_tokens, output_tokens)


def read_arena_models(path: Path) -> ArenaModels:
    """Read ``"name" = { tier, input, output }``, prices in USD per million tokens (TOML).

    ``tier`` is simple, moderate or complex. ``context_window`` (tokens) may be given. Raises
    :class:`ArenaFileError`.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArenaFileError(f"{path}: cannot be read ({error})") from None
    options = tuple(_option(path, rank, *item) for rank, item in enumerate(entries.items()))
    if not options:
        raise ArenaFileError(f"{path}: no models")
    return ArenaModels(options)


def _option(path: Path, rank: int, name: str, entry: Any) -> ModelOption:
    try:
        tier = entry["tier"]
        prices = Decimal(str(entry["input"])), Decimal(str(entry["output"]))
        window = int(entry.get("context_window", _CONTEXT))
    except (KeyError, TypeError, ValueError, InvalidOperation, AttributeError) as error:
        raise ArenaFileError(
            f'{path}: {name} needs tier, input and output, such as {{ tier = "simple", '
            f'input = "0.15", output = "0.60" }} ({type(error).__name__}: {error})'
        ) from None
    if tier not in TIERS:
        raise ArenaFileError(f"{path}: the tier of {name} must be one of {', '.join(TIERS)}")
    if any(not price.is_finite() or price < 0 for price in prices):
        raise ArenaFileError(f"{path}: the prices of {name} must be zero or more")
    return ModelOption(_PROVIDER, name, tier, rank, *prices, window)


def read_arena_prompts(path: Path) -> list[ArenaPrompt]:
    """Return the prompts of a file, in order. Raises :class:`ArenaFileError`."""
    prompts = [
        ArenaPrompt(_index(entry, where), str(_field(entry, _PROMPT, where)))
        for where, entry in _entries(path)
    ]
    if not prompts:
        raise ArenaFileError(f"{path}: no prompts")
    return prompts


def read_arena_choices(path: Path) -> dict[str, str]:
    """Return the chosen model by prompt of a prediction file. Raises :class:`ArenaFileError`."""
    return {
        _index(entry, where): str(_field(entry, _MODEL, where))
        for where, entry in _entries(path)
        if not entry.get("for_optimality")
    }


def read_arena_outcomes(
    paths: Iterable[Path], models: ArenaModels | None = None
) -> dict[PairKey, ArenaOutcome]:
    """Return the graded answers of all files. Raises :class:`ArenaFileError`.

    An entry without a model has the file's name as its model. An entry without a cost is priced
    by its ``token_usage`` and ``models``. Entries without an accuracy are left out.
    """
    outcomes = {}
    for path in paths:
        for where, entry in _entries(path):
            graded = entry | (entry.get(_NESTED) or {})
            accuracy = next((graded[name] for name in _ACCURACY if _has(graded, name)), None)
            if accuracy is None:
                continue
            model = str(next((entry[name] for name in _MODEL if _has(entry, name)), path.stem))
            try:
                outcome = ArenaOutcome(float(accuracy), _cost(graded, model, models, where))
            except (TypeError, ValueError, InvalidOperation) as error:
                raise ArenaFileError(f"{where}: {error}") from None
            if not 0 <= outcome.accuracy <= 1:
                raise ArenaFileError(f"{where}: accuracy must be between 0 and 1")
            outcomes[_index(entry, where), model] = outcome
    return outcomes


def _cost(graded: dict[str, Any], model: str, models: ArenaModels | None, where: str) -> Decimal:
    for name in _COST:
        if _has(graded, name):
            return Decimal(str(graded[name]))
    usage = graded.get("token_usage") or (graded.get("generated_result") or {}).get("token_usage")
    if models is not None and usage:
        cost = models.cost(model, int(usage["input_tokens"]), int(usage["output_tokens"]))
        if cost is not None:
            return cost
    raise ArenaFileError(f"{where}: no cost, and no price of {model} for its tokens (--models)")


def _entries(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each entry with the place that names it in an error."""
    try:
        text = path.read_text(encoding="utf-8")
        try:
            entries = json.loads(text)
        except json.JSONDecodeError:
            entries = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise ArenaFileError(f"{path}: not JSON, and not JSON lines ({error})") from None
    if isinstance(entries, dict):
        entries = [entries]
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise ArenaFileError(f"{path}, entry {number}: not an object")
        yield f"{path}, entry {number}", entry


def _has(entry: dict[str, Any], name: str) -> bool:
    return entry.get(name) is not None


def _index(entry: dict[str, Any], where: str) -> str:
    return str(_field(entry, _INDEX, where))


def _field(entry: dict[str, Any], names: tuple[str, ...], where: str) -> Any:
    for name in names:
        if entry.get(name):
            return entry[name]
    raise ArenaFileError(f"{where}: no {names[0]!r}")
