"""Which model a request is compared with: its baseline."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

from optimizer.domain.model_names import AUTO, ModelNames, UnknownModel
from optimizer.domain.request import NO_CHATS, GatewayRequest
from providers.catalogue import Catalogue
from providers.pricing import PriceBook
from providers.resilience import ResilientCaller
from routing.models import TIERS, ModelRef

COMPLEXITY = "complexity"
"""The value of BASELINE_MODEL for the model that complexity would have chosen."""
_INPUT_SHARE = Decimal("0.75")
"""The usual share of input among the tokens of a request, by which prices are compared."""


class BaselineChoice:
    """Chooses the baseline of each request.

    It is the model that the client names as baseline, else the one that it asked for, else
    ``default``; with the default "complexity", it is always complexity's choice, unless the client
    names a baseline.
    """

    def __init__(self, names: ModelNames, default: ModelRef | None, *, complexity: bool) -> None:
        self.default = default
        self.complexity = complexity
        self._names = names
        self._asked_for = lru_cache(maxsize=1024)(self._read)

    def change(self, default: ModelRef | None, *, complexity: bool) -> None:
        """Use another default from now on, and read the names of models anew."""
        self.default, self.complexity = default, complexity
        self._asked_for.cache_clear()

    def of(self, request: GatewayRequest) -> ModelRef | None:
        """Return the baseline; ``None`` means the model that complexity would have chosen."""
        if request.baseline is not None or self.complexity or request.endpoint in NO_CHATS:
            return request.baseline
        return self._asked_for(request.requested_model) or self.default

    @property
    def name(self) -> str:
        """Return the baseline in words, for reports.

        Rows keep the baseline of the setting that they were recorded with, which may have been
        another one.
        """
        if self.complexity or self.default is None:
            return "as recorded; new requests: complexity's choice"
        return f"as recorded; new requests: the model asked for, else {self.default}"

    def _read(self, name: str) -> ModelRef | None:
        if not name or name in AUTO:
            return None
        try:
            return self._names.one(name)
        except UnknownModel:
            return None


def dearest_model(
    catalogue: Catalogue, caller: ResilientCaller, prices: PriceBook
) -> ModelRef | None:
    """Return the dearest model that may be called of the highest tier that has any with a price."""
    for tier in reversed(TIERS):
        priced = []
        for spec in catalogue.models:
            rates = prices.rates(spec.provider, spec.id)
            if spec.tier == tier and caller.serves(spec.provider, spec.id) and rates is not None:
                output = rates.output or rates.input
                price = _INPUT_SHARE * rates.input.at(0) + (1 - _INPUT_SHARE) * output.at(0)
                priced.append((price, ModelRef(spec.provider, spec.id)))
        if priced:
            return max(priced)[1]
    return None
