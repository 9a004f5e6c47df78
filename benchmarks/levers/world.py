"""A world whose truth is known: kinds of prompts, models with efforts and tiers, checks.

Nothing in it is measured of real models. It has what makes the choice hard: qualities that differ
by kind, priors that are wrong by as much as published results are, efforts that cost tokens, tiers
that refuse, deadlines, limits of latency, and checks that let bad answers through.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from routing.answer_speed import AnswerSpeed
from routing.models import ModelOption, ModelRef, Tier

PLACE_ERROR = 0.25
"""How far a model's published place is off, as a standard deviation."""
ANCHOR_ERROR = 0.25
"""How far the predictor is off on a kind of prompt, in logits."""
OWN = 0.30
"""How much better or worse a model is on a kind than its ability says, in logits."""
OWN_EFFORT = 0.10
"""The same for an effort of a model, about which nothing is learned."""
CHECK_ERROR = 0.05
FLEX_SERVED = 0.9
"""Share of calls in the cheaper tier that it takes."""
SHARED = 0.35
"""Correlation of two models being right (as in routing/cascades.py)."""
EFFORTS = ("low", "medium", "high")
EFFORT_PLACE = {"low": -0.25, "medium": 0.0, "high": 0.25}
EFFORT_LENGTH = {"low": 0.45, "medium": 1.0, "high": 1.9}
_SPREAD = 0.35


@dataclass(frozen=True)
class Kind:
    """A kind of prompt: the qualities of the weak and the strong model on it, and its sizes.

    ``check`` is the check of its answers and ``power`` how often a good and a bad one pass it.
    """

    pattern: str
    tier: Tier
    weak: float
    strong: float
    tokens_in: int
    tokens_out: int
    check: str
    power: tuple[float, float]
    share: float


@dataclass(frozen=True)
class SimulatedModel:
    """A model: its true place, prices in USD per million tokens, its speed and its efforts.

    ``usual`` is the effort that it has if nothing is asked, empty if it has none.
    """

    name: str
    tier: Tier
    place: float
    input: float
    output: float
    speed: AnswerSpeed
    usual: str = ""
    flex: bool = False

    @property
    def ref(self) -> ModelRef:
        return ModelRef("p", self.name)


MODELS = (
    SimulatedModel("nano", "simple", 0.0, 0.1, 0.5, AnswerSpeed(0.3, 0.004), "medium", True),
    SimulatedModel("mini", "simple", 0.35, 0.3, 1.8, AnswerSpeed(0.4, 0.006)),
    SimulatedModel("flash", "moderate", 0.6, 0.75, 3.75, AnswerSpeed(0.5, 0.006), "high", True),
    SimulatedModel("base", "moderate", 0.95, 1.0, 5.0, AnswerSpeed(0.7, 0.010), "medium", True),
    SimulatedModel("large", "complex", 1.25, 2.0, 10.0, AnswerSpeed(0.9, 0.014), "high", True),
    SimulatedModel("best", "complex", 1.6, 5.0, 25.0, AnswerSpeed(1.2, 0.020), "high"),
)
_PATTERNS = ("code", "analysis", "creative", "explanation", "factual", "reasoning", "general")
_TIERS: tuple[Tier, ...] = ("simple", "moderate", "complex")
_CHECKS = {
    "code": ("command", (0.97, 0.10)),
    "factual": ("schema", (0.99, 0.85)),
    "general": ("schema", (0.99, 0.85)),
}


@dataclass
class Drawn:
    """One request: its kind, what it allows, and the luck that all policies share."""

    kind: int
    waits: bool
    limit: float | None
    rated: bool
    served: bool
    length: float
    latent: float
    luck: float
    passing: float


@dataclass
class World:
    """One draw of all that is unknown, by ``seed``, and its requests."""

    seed: int
    kinds: list[Kind] = field(init=False)
    options: list[ModelOption] = field(init=False)
    believed: list[tuple[float, float]] = field(init=False)
    truth: dict[tuple[int, str, str], float] = field(init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.kinds = [self._kind(pattern, tier) for pattern in _PATTERNS for tier in _TIERS]
        normal = self.random.normal
        self.believed = [
            (k.weak + normal(0, ANCHOR_ERROR), k.strong + normal(0, ANCHOR_ERROR))
            for k in self.kinds
        ]
        self.truth = {}
        for index, kind in enumerate(self.kinds):
            for model in MODELS:
                own = normal(0, OWN)
                for effort in ("", *EFFORTS):
                    at = model.place + EFFORT_PLACE.get(effort or model.usual, 0.0)
                    if effort and effort == model.usual:
                        self.truth[index, model.name, effort] = self.truth[index, model.name, ""]
                        continue
                    logit = kind.weak + at * (kind.strong - kind.weak) + own
                    logit += normal(0, OWN_EFFORT)
                    self.truth[index, model.name, effort] = 1 / (1 + math.exp(-logit))
        self.options = [self._option(rank, model) for rank, model in enumerate(MODELS)]

    def _kind(self, pattern: str, tier: Tier) -> Kind:
        level = {"simple": 1.8, "moderate": 0.5, "complex": -0.9}[tier] + self.random.normal(0, 0.4)
        check, power = _CHECKS.get(pattern, ("judge", (0.85, 0.40)))
        good, bad = (min(0.99, max(0.01, p + self.random.normal(0, CHECK_ERROR))) for p in power)
        size = {"simple": (300, 250), "moderate": (1200, 600), "complex": (4000, 1100)}[tier]
        spread = self.random.lognormal(0, 0.3, 2)
        return Kind(
            pattern, tier, level, level + 2.0 + self.random.normal(0, 0.3),
            int(size[0] * spread[0]), int(size[1] * spread[1]), check, (good, bad),
            float(self.random.dirichlet([1.0, 1.0])[0] + 0.2),
        )  # fmt: skip

    def _option(self, rank: int, model: SimulatedModel) -> ModelOption:
        error = self.random.normal(0, PLACE_ERROR)
        at = {e: model.place + EFFORT_PLACE[e] + error for e in EFFORTS}
        usual = at[model.usual] if model.usual else model.place + error
        return ModelOption(
            "p", model.name, model.tier, rank, Decimal(str(model.input)),
            Decimal(str(model.output)), 1_000_000, place=usual, place_width=PLACE_ERROR,
            efforts={e: (at[e], PLACE_ERROR) for e in EFFORTS} if model.usual else {},
        )  # fmt: skip

    def requests(self, count: int) -> list[Drawn]:
        """Return requests; all policies get the same."""
        shares = np.array([kind.share for kind in self.kinds])
        drawn = self.random.choice(len(self.kinds), count, p=shares / shares.sum())
        uniform, normal = self.random.random, self.random.normal
        return [
            Drawn(
                int(kind), bool(uniform() < 0.35), 8.0 if uniform() < 0.15 else None,
                bool(uniform() < 0.25), bool(uniform() < FLEX_SERVED),
                float(self.random.lognormal(-_SPREAD**2 / 2, _SPREAD)), float(normal()),
                float(normal()), float(uniform()),
            )
            for kind in drawn
        ]  # fmt: skip

    def length(self, kind: int, model: str, effort: str) -> int:
        """Return the mean length of an answer in tokens, reasoning included."""
        spec = next(m for m in MODELS if m.name == model)
        at = effort or spec.usual
        return round(self.kinds[kind].tokens_out * (EFFORT_LENGTH[at] if at else 0.6))
