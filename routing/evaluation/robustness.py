"""Whether the same request in other words, or in another language, gets the same decision."""

from __future__ import annotations

import random
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from routing.engine import RoutingEngine
from routing.evaluation.rewordings import REWORDINGS
from routing.models import RoutingContext

STRATEGIES = ("complexity", "learning", "hybrid")
TARGET = 0.98
"""The share of rewordings that should keep their decision."""
_REQUESTS = Path(__file__).with_name("requests.toml")

Shares = Mapping[str, float]
"""Shares (0-1) by strategy."""
Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class RewordedShares:
    """The share of ``prompts`` that keep their model under one rewording, by strategy."""

    name: str
    unseen: bool
    prompts: int
    kept: Shares


@dataclass(frozen=True, slots=True)
class LanguageShares:
    """The share of languages whose decision on one request is the most frequent one."""

    request: str
    languages: int
    kept: Shares
    others: Mapping[str, tuple[str, ...]]
    """The languages with another decision, by strategy."""


def sampled(prompts: Sequence[str], most: int, seed: int) -> list[str]:
    """Return at most ``most`` of the prompts, drawn at random, in their order."""
    if len(prompts) <= most:
        return list(prompts)
    draw = random.Random(seed)  # noqa: S311 - a sample, no secret
    return [prompts[index] for index in sorted(draw.sample(range(len(prompts)), most))]


def reworded_shares(
    engine: RoutingEngine, prompts: Sequence[str], step: Step = lambda: None
) -> list[RewordedShares]:
    """Return how many of ``prompts`` keep their decision, for each rewording that fits any."""
    first = [_choices(engine, prompt) for prompt in prompts]
    shares = []
    for rewording in REWORDINGS:
        kept: Counter[str] = Counter()
        count = 0
        for prompt, before in zip(prompts, first, strict=True):
            reworded = rewording.rewrite(prompt)
            if reworded is None:
                continue
            count += 1
            after = _choices(engine, reworded)
            kept.update(name for name in STRATEGIES if after[name] == before[name])
        step()
        if count:
            of_all = {name: kept[name] / count for name in STRATEGIES}
            shares.append(RewordedShares(rewording.name, rewording.unseen, count, of_all))
    return shares


def overall(shares: Sequence[RewordedShares], *, unseen: bool) -> Shares:
    """Return the share over all prompts of the rewordings that are, or are not, ``unseen``."""
    chosen = [share for share in shares if share.unseen == unseen]
    prompts = sum(share.prompts for share in chosen)
    return {
        name: sum(share.kept[name] * share.prompts for share in chosen) / max(1, prompts)
        for name in STRATEGIES
    }


def language_shares(engine: RoutingEngine) -> list[LanguageShares]:
    """Return for each request how many languages get the decision that most of them get."""
    requests = tomllib.loads(_REQUESTS.read_text(encoding="utf-8"))
    shares = []
    for request, texts in requests.items():
        choices = {language: _choices(engine, text) for language, text in texts.items()}
        usual = {
            name: Counter(choice[name] for choice in choices.values()).most_common(1)[0][0]
            for name in STRATEGIES
        }
        others = {
            name: tuple(lang for lang, choice in choices.items() if choice[name] != usual[name])
            for name in STRATEGIES
        }
        kept = {name: 1 - len(others[name]) / len(texts) for name in STRATEGIES}
        shares.append(LanguageShares(request, len(texts), kept, others))
    return shares


def _choices(engine: RoutingEngine, prompt: str) -> dict[str, str]:
    context = RoutingContext(prompt=prompt)
    analysis = engine.analyze(prompt)
    return {
        name: engine.route(context, strategy=name, analysis=analysis).model for name in STRATEGIES
    }
