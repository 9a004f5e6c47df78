"""The ways to ask one model: its effort of reasoning and its service tier.

Levers offer them for one request. An offer is weighed like a model: by its expected quality, its
cost and its latency.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, Protocol

from routing.answer_speed import AnswerSpeed

if TYPE_CHECKING:
    from routing.models import ModelOption, ModelRef, Tier


class Variant(NamedTuple):
    """How a model is asked; an empty field leaves it as the request asks."""

    effort: str = ""
    service_tier: str = ""


AS_ASKED = Variant()


@dataclass(frozen=True, slots=True)
class VariantOffer:
    """A way to ask a model that levers allow.

    ``option`` is the model at the prices of the service tier. ``output_tokens`` and ``speed`` are
    those of a :class:`routing.models.RoutingContext` at the effort. ``as_good`` is whether the
    answer counts as good as one to the request as it asks; else its quality is weighed.
    """

    variant: Variant
    option: ModelOption
    output_tokens: Callable[[ModelRef, Tier], int | None] | None = None
    speed: Callable[[ModelRef], AnswerSpeed | None] | None = None
    as_good: bool = True


class VariantSource(Protocol):
    """Where routing reads in which other ways the models may be asked."""

    def offers(self, option: ModelOption) -> Sequence[VariantOffer]:
        """Return the other ways to ask ``option``."""
        ...


class Way(NamedTuple):
    """A way to ask a model, and what is expected of it.

    ``cost`` is USD for this call and ``latency`` seconds, ``None`` if unknown. ``weighed_cost``
    also counts what the next turns lose with the prompt cache. ``effort`` is that of the request
    where the way does not change it.
    """

    variant: Variant
    option: ModelOption
    effort: str
    cost: Decimal | None
    weighed_cost: Decimal | None
    latency: float | None = None
    as_good: bool = True
