"""A provider's answer with what it cost and saved."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from analytics.ledger.savings import Savings
from providers.completion import Completion
from providers.pricing import CallPrice
from providers.values import frozen


@frozen
class Charges:
    """What a request cost in USD; ``failed`` is the part of ``cost`` for failed attempts.

    ``rails`` is what guard rails found, ``None`` where there are none.
    """

    cost: Decimal | None
    failed: Decimal
    attempts: list[dict[str, Any]]
    rails: list[dict[str, Any]] | None = None


@frozen
class BaselineCost:
    """The baseline model and the cost of this request on it, in USD.

    The baseline is the model that the client named, else the one that complexity would have
    used. ``output_cost`` is the part of ``cost`` for the completion.
    """

    provider: str
    model: str
    cost: Decimal | None
    output_cost: Decimal | None = None


@frozen
class PricedAnswer:
    """A provider's answer with what it cost and saved, in USD.

    ``price`` is that of the successful call alone: what a later hit saves.
    ``prompt_cache_saved`` is what the provider's prompt cache saved. ``cut_off`` is the error
    code of an answer that broke off, "" for a complete one.
    """

    completion: Completion
    price: CallPrice
    charges: Charges
    baseline: BaselineCost | None
    savings: Savings
    prompt_cache_saved: Decimal | None
    cacheable: bool
    cut_off: str = ""
