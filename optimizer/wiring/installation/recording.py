"""What records this installation's requests: its ledger, budgets, observers and accounting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analytics.database.aside import DatabaseThread
from analytics.ledger.ledger import Ledger, Observer
from analytics.privacy.masking import Mask, load_mask
from optimizer.access.rate_limits import RateLimits
from optimizer.budgets.reservations import Budgets
from optimizer.gateway.provider_objects.settlement import Settlement
from optimizer.gateway.recording.accounting import Accounting
from optimizer.gateway.recording.ledger_entries import LedgerEntryBuilder, StoragePolicy
from optimizer.gateway.recording.refusals import Refusals
from optimizer.gateway.session_states import SessionStates
from optimizer.monitoring.live.feed import Feed
from optimizer.monitoring.otlp import Telemetry, configured_telemetry
from optimizer.monitoring.prometheus import Meter
from optimizer.pricing.baseline_choice import BaselineChoice
from optimizer.wiring.installation.folders import begun_calls_folder, journal
from optimizer.wiring.installation.upstream import Upstream
from optimizer.wiring.product_settings import ProductSettings
from optimizer.wiring.quality import configured_baseline
from providers.token_density import TokenDensity


@dataclass(frozen=True, slots=True)
class Recording:
    """What counts, prices and records requests.

    ``objects`` is the thread for what is no row of the ledger. ``anywhere`` are the observers
    that may be called on any thread: the live feed belongs to the event loop of the requests.
    """

    mask: Mask | None
    ledger: Ledger
    objects: DatabaseThread
    limits: RateLimits
    budgets: Budgets
    baselines: BaselineChoice
    sessions: SessionStates | None
    feed: Feed
    meter: Meter
    telemetry: Telemetry
    anywhere: Sequence[Observer]
    accounting: Accounting
    settlement: Settlement
    refusals: Refusals


def build_recording(product: ProductSettings, upstream: Upstream) -> Recording:
    """Build what records requests; ``upstream`` calls nobody while nothing can be recorded."""
    prices, caller = upstream.prices, upstream.caller
    baselines = configured_baseline(product, upstream.names, upstream.catalogue, caller, prices)
    mask = load_mask(product.masking)
    ledger = Ledger(journal(), mask)
    caller.may_call = ledger.health.check
    objects = DatabaseThread("object-store")
    limits = RateLimits(product.shared_store, product.manage_requests_per_minute)
    density = TokenDensity()
    budgets = Budgets(
        ledger,
        prices,
        calls=begun_calls_folder(),
        refuse_unknown_input=product.budget_unknown_input == "refuse",
        density=density,
    )
    sessions = SessionStates(objects, caller.wire_of) if product.session_routing else None
    feed, meter = Feed(product.shared_store), Meter(upstream.circuit_states)
    telemetry = configured_telemetry()
    anywhere = [meter.observe, *telemetry.observers]
    observers = [feed.observe, *anywhere]
    entries = LedgerEntryBuilder(
        StoragePolicy(product.store_prompts, product.response_cache_seconds)
    )
    return Recording(
        mask=mask,
        ledger=ledger,
        objects=objects,
        limits=limits,
        budgets=budgets,
        baselines=baselines,
        sessions=sessions,
        feed=feed,
        meter=meter,
        telemetry=telemetry,
        anywhere=anywhere,
        accounting=Accounting(
            prices, ledger, entries, limits, observers, baselines, sessions, density
        ),
        settlement=Settlement(
            objects, upstream.registry.providers, prices, upstream.known, observers
        ),
        refusals=Refusals(
            ledger,
            meter.count_refusal,
            quotations=product.store_prompts == "full",
            per_minute=product.refusals_per_minute,
            per_client=product.refusals_per_client,
        ),
    )
