"""Connection tests: which providers are configured, and whether they answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from analytics.ledger.write_health import RecordsUnavailable
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
    "authentication_failed": "Check the key. Does it belong to this provider?",
    "permission_denied": "The key is valid, but may not use this model.",
    "insufficient_credit": "The account has no credit left.",
    "model_not_found": "Check the base URL. May this key use the model?",
    "rate_limited": "The key works, but its rate limit is reached. Try again later.",
    "connection_failed": "This machine cannot reach it. Check the base URL and any proxy.",
    "timeout": "It did not answer in time. Check the base URL.",
    "malformed_response": "The answer is not in this provider's format. Check the base URL.",
    "circuit_open": "It failed too often recently. It is not called for some seconds.",
}


class NotConfigured(LookupError):
    """There is no such provider, or it has no key."""


@dataclass(frozen=True, slots=True)
class ProviderState:
    """A provider of the catalogue and its state.

    ``variables`` are the names of its environment variables, each with whether it is set.
    ``model`` is the model that a test would call. ``circuit`` is empty if the provider is
    not configured.
    """

    name: str
    variables: list[tuple[str, bool]]
    configured: bool
    circuit: str
    model: str


@dataclass(frozen=True, slots=True)
class ConnectionResult:
    """The result of a connection test; ``cost`` is USD, ``None`` if unknown."""

    works: bool
    words: str
    hint: str = ""
    model: str = ""
    took_ms: float = 0.0
    cost: Decimal | None = None
    request_id: str = ""


class Connections:
    """Lists providers and tests them.

    ``environment`` is searched for the names of keys; their values are not used.
    """

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
        """Return every provider of the catalogue, configured ones first."""
        states = [self._state(spec) for spec in self._catalogue.providers.values()]
        return sorted(states, key=lambda state: not state.configured)

    async def test(self, provider: str, user: str) -> ConnectionResult:
        """Ask the provider's cheapest model for a few tokens, as ``user``.

        This is a real request: it is recorded, and the provider charges for it.
        Raises :class:`NotConfigured`.
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
        except (NoEligibleModel, BudgetExceeded, RecordsUnavailable) as error:
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
        named = (*spec.needs, *spec.key_env, spec.base_url_env, *spec.settings.values())
        names = dict.fromkeys(named)
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
        options = [option for option in self._options.options() if option.provider == provider]
        return min(options, key=_price, default=None)


def _price(option: ModelOption) -> tuple[bool, Decimal, int]:
    cost = option.expected_cost(10, _MAX_TOKENS)
    return cost is None, cost or Decimal(0), option.rank


def _gateway_request(option: ModelOption, user: str) -> GatewayRequest:
    model = (option.provider, option.model)
    # A model that thinks first may produce no text within so few tokens.
    chat = Chat((Message("user", (Text(_PROMPT),)),), _MAX_TOKENS, allow_empty=True)
    return isolated_request(
        chat,
        user=user,
        tag=TAG,
        strategy="named",
        requested_model=str(option.ref),
        only=frozenset({model}),
        baseline=model,
    )
