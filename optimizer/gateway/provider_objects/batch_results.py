"""Reads the results of a batch, line by line, and sums what they cost by model."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from providers.completion import Usage
from providers.pricing import CallPrice
from providers.usage import read_embedded_usage, read_usage

logger = logging.getLogger(__name__)

Price = Callable[[str, Usage], CallPrice]
"""Returns what a call of a model cost."""
_LONGEST_LINE = 64 * 1024 * 1024
# The columns of the ledger hold 31 bits; a row above this is followed by another.
_MOST_TOKENS = 2_000_000_000
_NO_USAGE = Usage(0, 0, estimated=True)
_UNKNOWN = CallPrice(None, "unknown")
_LEAST_CERTAIN = ("unknown", "estimated", "table", "reported")


@dataclass(slots=True)
class ModelSum:
    """The tokens of one model in a batch, and their cost in USD, ``None`` if it is unknown."""

    model: str
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    usage_estimated: bool = False
    cost: Decimal | None = Decimal(0)
    listed: Decimal | None = Decimal(0)
    bases: set[str] = field(default_factory=set)

    @property
    def price_basis(self) -> str:
        """The least certain basis of the calls, "unknown" without any."""
        return next((basis for basis in _LEAST_CERTAIN if basis in self.bases), "unknown")

    @property
    def list_cost(self) -> Decimal | None:
        """The price by the table, if the cost is another amount."""
        return self.listed if self.listed != self.cost else None

    def add(self, usage: Usage, price: CallPrice) -> None:
        """Add one call."""
        self.requests += 1
        self.tokens_in += usage.total_input_tokens
        self.tokens_out += usage.total_output_tokens
        self.cache_read_tokens += usage.cache_read_tokens
        self.cache_write_tokens += usage.cache_write_tokens
        self.reasoning_tokens += usage.reasoning_tokens
        self.usage_estimated = self.usage_estimated or usage.estimated
        self.bases.add(price.basis)
        listed = price.cost if price.listed is None else price.listed
        self.cost = _sum(self.cost, price.cost)
        self.listed = _sum(self.listed, listed)


def _sum(total: Decimal | None, amount: Decimal | None) -> Decimal | None:
    return None if total is None or amount is None else total + amount


class BatchTally:
    """Sums the lines of a batch's results; ``price`` returns what a call cost in a batch."""

    def __init__(self, price: Price) -> None:
        self._price = price
        self.sums: list[ModelSum] = []
        self._open: dict[str, ModelSum] = {}

    async def read(self, chunks: AsyncIterator[bytes]) -> None:
        """Read all lines."""
        rest = b""
        async for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self.line(line)
            if len(rest) > _LONGEST_LINE:
                raise ValueError("a line of the results is larger than 64 MiB")
        self.line(rest)

    def line(self, line: bytes) -> None:
        """Add the call that a line reports; failed ones are not charged."""
        if not line.strip():
            return
        try:
            answer = _answer_in(json.loads(line))
        except (ValueError, RecursionError, AttributeError):
            logger.warning("A line of a batch's results cannot be read; its usage is unknown")
            answer = {}
        if answer is not None:
            model = answer.get("model")
            embedded = isinstance(answer.get("data"), list)
            usage = read_embedded_usage(answer) if embedded else read_usage(answer)
            self.add(model if isinstance(model, str) else "", usage)

    def add(self, model: str, usage: Usage | None) -> None:
        """Add one call of ``model``; ``None`` if the provider did not report its usage."""
        known = usage is not None and not usage.unreported and bool(model)
        usage = replace(usage or _NO_USAGE, service_tier="batch", speed="")
        total = self._open.get(model)
        if total is None or max(total.tokens_in, total.tokens_out) > _MOST_TOKENS:
            total = self._open[model] = ModelSum(model)
            self.sums.append(total)
        if known:
            total.add(usage, self._price(model, usage))
        else:
            total.add(replace(usage, estimated=True, unreported=()), _UNKNOWN)


def _answer_in(line: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the answer of one request, ``None`` if the request failed.

    Formats: https://platform.openai.com/docs/api-reference/batch/request-output,
    https://docs.anthropic.com/en/api/retrieving-message-batch-results
    """
    if isinstance(result := line.get("result"), dict):
        message = result.get("message")
        return message if result.get("type") == "succeeded" and isinstance(message, dict) else None
    response = line.get("response")
    if not isinstance(response, dict) or response.get("status_code") != 200:
        return None
    body = response.get("body")
    return body if isinstance(body, dict) else {}
