"""A policy: how to route requests that leave the choice of the model to the service.

It is a name (of a strategy or a model) or a TOML file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from optimizer.domain.model_names import AUTO, ModelNames, UnknownModel
from optimizer.policies.rules import read_rule_entries
from providers.toml_file import read_toml
from routing.models import ModelRef
from routing.rule_parser import RuleError, read_rule
from routing.rules import Match, Rule

STRATEGIES = ("complexity", "learning", "hybrid", "cheapest", "best")
_FIELDS = {"strategy", "model", "quality_target", "cost_cap", "rules", "levers", "waits"}
_ESTIMATED_LEVERS = ("effort", "flex")


class PolicyError(ValueError):
    """The text or file is not a policy; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """A policy that has been read.

    ``only`` are the (provider, model) pairs of a policy that always uses one model.
    ``quality_target`` is 0-1, ``cost_cap`` USD per request; ``None`` means as configured.
    ``rules`` take precedence over the active rules. ``levers`` may be used, and ``waits`` says
    which requests can wait for a cheaper tier: these are for estimates on past requests alone.
    """

    name: str
    strategy: str = "hybrid"
    only: frozenset[ModelRef] | None = None
    quality_target: float | None = None
    cost_cap: Decimal | None = None
    rules: tuple[Rule, ...] = ()
    levers: frozenset[str] = frozenset()
    waits: Match | None = None


def read_arm(text: str, names: ModelNames) -> PolicySpec:
    """Return the policy of an experiment's arm, which may not be a file.

    Raises :class:`PolicyError`.
    """
    if text.endswith(".toml"):
        raise PolicyError("an experiment's policies are names, not files; rules apply to both arms")
    return read_policy(text, names)


def leaves_choice(requested_model: str) -> bool:
    """Return whether a request with this model name lets the service choose the model."""
    return not requested_model or requested_model in AUTO


def read_policy(text: str, names: ModelNames) -> PolicySpec:
    """Return the policy of a name or a TOML file.

    A name is that of a strategy or a model, with "@0.8" behind it for a quality target.
    Raises :class:`PolicyError`.
    """
    if text.endswith(".toml"):
        return _of_file(Path(text), names)
    name, _, target = text.partition("@")
    spec = _named(name, names)
    if target:
        spec = replace(spec, quality_target=_target(target))
    return replace(spec, name=text)


def _named(name: str, names: ModelNames) -> PolicySpec:
    if name in STRATEGIES:
        return PolicySpec(name, name)
    try:
        selection = names.select(name)
    except UnknownModel:
        raise PolicyError(
            f"There is no policy {name!r}. A policy is one of {', '.join(STRATEGIES)}, a model of "
            "a configured provider, or a .toml file."
        ) from None
    return PolicySpec(name, selection.strategy, selection.only)


def _of_file(path: Path, names: ModelNames) -> PolicySpec:
    raw = read_toml(path, PolicyError)
    if unknown := set(raw) - _FIELDS:
        raise PolicyError(f"{path}: unknown field {', '.join(sorted(unknown))}")
    if ("strategy" in raw) == ("model" in raw):
        raise PolicyError(f"{path}: give either strategy or model")
    spec = _named(str(raw.get("strategy", raw.get("model"))), names)
    return replace(
        spec,
        name=path.stem,
        quality_target=_target(raw["quality_target"]) if "quality_target" in raw else None,
        cost_cap=_usd(raw["cost_cap"]) if "cost_cap" in raw else None,
        rules=tuple(read_rule_entries(raw.get("rules", []), str(path), PolicyError)),
        levers=_levers(path, raw.get("levers", [])),
        waits=_waits(path, raw),
    )


def _levers(path: Path, value: Any) -> frozenset[str]:
    """Return the levers whose effect a log can tell: by prices and lengths that are known."""
    if not isinstance(value, list) or not all(name in _ESTIMATED_LEVERS for name in value):
        raise PolicyError(
            f"{path}: levers may be {' and '.join(_ESTIMATED_LEVERS)}; what others would have done "
            "cannot be told from a log, only from a lever's own control (prove)"
        )
    return frozenset(value)


def _waits(path: Path, raw: dict[str, Any]) -> Match | None:
    if "waits" not in raw:
        if "flex" in raw.get("levers", []):
            raise PolicyError(
                f"{path}: [waits] must say which requests can wait, by the conditions of a rule: "
                "the log does not"
            )
        return None
    if not isinstance(raw["waits"], dict):
        raise PolicyError(f"{path}: waits must be a table of a rule's conditions")
    try:
        # Conditions are those of a rule, which must also do something.
        return read_rule({**raw["waits"], "name": "waits", "deadline": 1}).match
    except RuleError as error:
        raise PolicyError(f"{path}: waits: {error}") from None


def _target(value: Any) -> float:
    try:
        target = float(value)
    except (TypeError, ValueError):
        target = -1.0
    if not 0 <= target <= 1:
        raise PolicyError(f"a quality target is between 0 and 1, not {value}")
    return target


def _usd(value: Any) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount <= 0:
        raise PolicyError(f"a cost cap is an amount above zero, not {value}")
    return amount
