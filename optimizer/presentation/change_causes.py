"""Why spending changed, in words: a line for each cause, the largest first."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from analytics.money_shown import rounded_dollars
from analytics.reports.exploration.change_causes import (
    ANSWERS,
    FAILURES,
    MIX,
    PRICE,
    PROMPT_CACHE,
    PROMPTS,
    RESPONSE_CACHE,
    VOLUME,
)
from analytics.reports.exploration.explanation import ChangeExplanation

_WORDS = {
    VOLUME: ("Volume", "more requests", "fewer requests"),
    MIX: ("Mix of models", "a larger share of dearer models", "a larger share of cheaper models"),
    PRICE: ("Price of a token", "higher prices", "lower prices"),
    PROMPTS: ("Length of prompts", "longer prompts", "shorter prompts"),
    ANSWERS: ("Length of answers", "longer answers", "shorter answers"),
    RESPONSE_CACHE: (
        "Response cache", "fewer answers from the response cache",
        "more answers from the response cache",
    ),
    PROMPT_CACHE: (
        "Providers' prompt caches", "smaller savings by providers' prompt caches",
        "larger savings by providers' prompt caches",
    ),
    FAILURES: ("Failures", "fewer failed requests", "more failed requests"),
}  # fmt: skip
"""For each cause: its name, and what happened if it added to the cost, or took from it."""
_MOST_MODELS = 2
_LEAST_SHARE = Decimal("0.005")
"""The share of all movement from which on a cause has a line."""


@dataclass(frozen=True, slots=True)
class CauseLine:
    """A cause with its effect in USD; ``models`` are those with most of it, in words."""

    name: str
    what: str
    effect: Decimal
    models: str


def cause_lines(why: ChangeExplanation) -> list[CauseLine]:
    """Return the causes that moved spending, the largest first; they add up to the change."""
    moved = sum((abs(effect) for effect in why.effects.values()), Decimal(0))
    effects = sorted(why.effects.items(), key=lambda item: -abs(item[1]))
    large = [(cause, effect) for cause, effect in effects if abs(effect) > _LEAST_SHARE * moved]
    lines = [_line(why, cause, effect) for cause, effect in large]
    rest = why.change - sum((line.effect for line in lines), Decimal(0))
    return [*lines, CauseLine("Other causes", "", rest, "")] if rest else lines


def cause_sentence(why: ChangeExplanation) -> str:
    """Return in a sentence how spending changed and what changed it most."""
    if not why.change:
        return "Spending did not change."
    rose = why.change > 0
    share = f" ({100 * why.change / why.before:+.1f} %)" if why.before else ""
    verb = "rose" if rose else "fell"
    effects = [line for line in cause_lines(why) if (line.effect > 0) == rose and line.what]
    because = f", mostly because of {effects[0].what}" if effects else ""
    return f"Spending {verb} by {rounded_dollars(abs(why.change))}{share}{because}."


def _line(why: ChangeExplanation, cause: str, effect: Decimal) -> CauseLine:
    name, added, took = _WORDS[cause]
    parts = sorted(
        ((model, one[cause]) for model, one in why.by_model.items() if one[cause]),
        key=lambda part: -abs(part[1]),
    )
    models = ", ".join(
        f"{model} {signed_dollars(amount)}" for model, amount in parts[:_MOST_MODELS]
    )
    return CauseLine(name, added if effect > 0 else took, effect, models)


def signed_dollars(amount: Decimal) -> str:
    """Format USD with a sign, also of gains."""
    return f"+{rounded_dollars(amount)}" if amount > 0 else rounded_dollars(amount)
