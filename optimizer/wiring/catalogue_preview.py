"""Decides over the whole catalogue, as if every provider had a key; calls nobody."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.request import GatewayRequest
from optimizer.gateway.model_options import AvailableModels
from optimizer.gateway.model_selection import ModelSelector
from optimizer.gateway.prompt_cache import PromptCaches
from optimizer.gateway.recording.accounting import Accounting
from optimizer.quality.evidence import EvidenceTable
from optimizer.wiring.routing import routing_engine
from providers.abilities import AbilityTable
from providers.catalogue import Catalogue
from providers.completion import Completion, CompletionRequest
from providers.errors import ProviderError
from providers.events import Event
from providers.known_models import KnownModels
from providers.pricing import PriceBook
from providers.registry import features_of_wire
from providers.resilience import ResiliencePolicy, ResilientCaller
from routing.learning.predictor import QualityPredictor
from routing.models import RoutingDecision


class UncalledProvider:
    """A provider without a key: routing may weigh its models, and every call is an error."""

    def __init__(self, name: str, wire: str) -> None:
        self.name = name
        self.wire = wire
        self.features = features_of_wire(wire)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Raise :class:`ProviderError`."""
        raise ProviderError(self.name, "has no key")

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        """Raise :class:`ProviderError`."""
        raise ProviderError(self.name, "has no key")
        yield

    async def aclose(self) -> None:
        """Do nothing: there is no connection to close."""


def catalogue_preview(
    catalogue: Catalogue,
    prices: PriceBook,
    known: KnownModels,
    accounting: Accounting,
    evidence: EvidenceTable,
    predictor: QualityPredictor | None,
    abilities: AbilityTable | None,
) -> Callable[[GatewayRequest], RoutingDecision]:
    """Return a function that decides a request over all chat models of the catalogue.

    Models without a provider over HTTP, such as the embedded one, take no part.
    """
    # Also those without a model: operators may add one while the service runs.
    providers = {
        name: UncalledProvider(name, spec.wire)
        for name, spec in catalogue.providers.items()
        if spec.wire != "local"
    }
    caller = ResilientCaller(providers, ResiliencePolicy(), known.lacks)
    options = AvailableModels(catalogue, prices, caller, known, abilities)
    engine = routing_engine(options, evidence, predictor)
    selector = ModelSelector(engine, options, accounting, PromptCaches(), None)
    return lambda request: selector.preview(AnalyzedRequest(request, request.analyze()))
