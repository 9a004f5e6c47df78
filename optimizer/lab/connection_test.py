"""The way from no key to the first answer: which providers there are, and whether they answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from optimizer.domain.request import GatewayRequest, isolated_request
from optimizer.domain.result import BudgetExceeded, RoutingUnavailable
from optimizer.gateway.model_options import AvailableModels
from optimizer.gateway.service import RoutingService
from providers.catalogue import Catalogue, ProviderSpec
from providers.chat import Chat, Message, Text
from providers.resilience import ResilientCaller
from routing.models import ModelOption, NoEligibleModel

TAG = "connection test"
_PROMPT = "Say hello."
_MAX_TOKENS = 16
_HINTS = {
    "authentication_failed": "Is the key right, and is it this provider's?",
    "permission_denied": "The key is known, but may not use this model.",
    "insufficient_credit": "The account has no credit left.",
    "model_not_found": "Is the base URL right, and may this key use the model?",
    "rate_limited": "The key works; it is asked too much just now.",
    "connection_failed": "Can this machine reach it? A proxy or the base URL may be in the way.",
    "timeout": "It did not answer in time. Is the base URL right?",
    "malformed_response": "Something else than this provider answers there. Is the URL right?",
    "circuit_open": "It failed too often lately, and is left alone for some seconds.",
}


class NotConfigured(LookupError):
    """There is no such provider, or it has no key."""


@dataclass(frozen=True, slots=True)
class ProviderState:
    """``variables`` are the names of its environment variables, each with whether it is set;
    ``model`` is the one that a test would ask.
    """

    name: str
    variables: list[tuple[str, bool]]
    configured: bool
    circuit: str
    model: str


@dataclass(frozen=True, slots=True)
class ConnectionResult:
    """Whether a provider answered; ``cost`` is USD, ``None`` where unknown."""

    works: bool
    words: str
    hint: str = ""
    model: str = ""
    took_ms: float = 0.0
    cost: Decimal | None = None
    request_id: str = ""


class Connections:
    """``environment`` is where keys are looked for; their values go nowhere."""

    def __init__(
        self,
        catalogue: Catalogue,
        environment: Mapping[str, str],
        caller: ResilientCaller,
        options: AvailableModels,
        routing: RoutingService,
    ) -> None:
        self._catalogue = catalogue
        self._environment = environment
        self._caller = caller
        self._options = options
        self._routing = routing

    def states(self) -> list[ProviderState]:
        """Every provider of the catalogue, those that are configured first."""
        found = [self._state(spec) for spec in self._catalogue.providers.values()]
        return sorted(found, key=lambda state: not state.configured)

    async def test(self, provider: str, user: str) -> ConnectionResult:
        """Ask the provider's cheapest model for a few tokens, as ``user``: a real request, which
        is recorded and costs what it costs. Raises :class:`NotConfigured`.
        """
        option = self._cheapest(provider)
        if option is None:
            raise NotConfigured(provider)
        request = _gateway_request(option, user)
        started = time.perf_counter()
        try:
            result = await self._routing.complete(request)
        except RoutingUnavailable as error:
            attempt = error.attempts[-1] if error.attempts else None
            hint = _HINTS.get(attempt.error, "") if attempt else ""
            words = attempt.message if attempt else str(error)
            return ConnectionResult(False, words, hint, option.model)
        except (NoEligibleModel, BudgetExceeded) as error:
            return ConnectionResult(False, str(error), "", option.model)
        return ConnectionResult(
            works=True,
            words="It answers.",
            model=result.model,
            took_ms=round((time.perf_counter() - started) * 1000, 1),
            cost=result.cost,
            request_id=str(result.request_id),
        )

    def _state(self, spec: ProviderSpec) -> ProviderState:
        names = [*spec.key_env, spec.base_url_env]
        cheapest = self._cheapest(spec.name)
        configured = spec.name in self._caller.providers
        return ProviderState(
            name=spec.name,
            variables=[(name, bool(self._environment.get(name))) for name in names if name],
            configured=configured,
            circuit=self._caller.circuit_state(spec.name) if configured else "",
            model=cheapest.model if cheapest else "",
        )

    def _cheapest(self, provider: str) -> ModelOption | None:
        options = [one for one in self._options.options() if one.provider == provider]
        return min(options, key=_price, default=None)


def _price(option: ModelOption) -> tuple[bool, Decimal, int]:
    cost = option.expected_cost(10, _MAX_TOKENS)
    return cost is None, cost or Decimal(0), option.rank


def _gateway_request(option: ModelOption, user: str) -> GatewayRequest:
    named = (option.provider, option.model)
    # A model that thinks first may have nothing to say within so few tokens.
    chat = Chat((Message("user", (Text(_PROMPT),)),), _MAX_TOKENS, allow_empty=True)
    return isolated_request(
        chat,
        user=user,
        tag=TAG,
        strategy="named",
        requested_model=option.ref,
        only=frozenset({named}),
        baseline=named,
    )
