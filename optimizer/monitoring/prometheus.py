"""Metrics for Prometheus: the generative-AI conventions of OpenTelemetry, and money.

Of the conventions' names dots become underscores and units suffixes, as Prometheus has it.
Amounts are floats here: for watching, not for accounting, which the ledger is for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from analytics.ledger.ledger import LedgerEntry
from analytics.models import RequestRecord
from optimizer import __version__
from optimizer.monitoring.conventions import (
    DURATIONS,
    FIRST_TOKEN,
    TOKENS,
    is_call,
    operation_of,
    seconds_of_call,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where workers keep their counts for each other; the library reads it when it is imported."""

_OVERHEAD = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5, 1, 5, 10)
_CALL = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "error_type")
_CIRCUITS = {"closed": 0.0, "half_open": 0.5, "open": 1.0}


class _Labelled:
    """A metric's children by their labels: the library looks each up under a lock."""

    def __init__(self, metric: Any) -> None:
        self._metric = metric
        self._children: dict[tuple[str, ...], Any] = {}

    def __call__(self, *labels: str) -> Any:
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._metric.labels(*labels)
        return child


class Meter:
    """Counts what is recorded. ``circuits`` is asked when somebody looks: how this worker's
    stand ("closed", "half_open", "open"), by provider.
    """

    def __init__(self, circuits: Callable[[], Mapping[str, str]] = dict) -> None:
        self.registry = registry = CollectorRegistry()
        self._circuits_now = circuits
        self._requests = _Labelled(
            Counter(
                "optimizer_requests",
                "Requests by how they ended.",
                ("endpoint", "strategy", "status", "cache_hit"),
                registry=registry,
            )
        )
        self._latency = _Labelled(
            Histogram(
                "optimizer_request_duration_seconds",
                "From a request's arrival to its record.",
                ("endpoint",),
                buckets=DURATIONS,
                registry=registry,
            )
        )
        self._overhead = _Labelled(
            Histogram(
                "optimizer_overhead_seconds",
                "Of a request, all but the provider's part.",
                ("endpoint",),
                buckets=_OVERHEAD,
                registry=registry,
            )
        )
        self._cost = _Labelled(
            Counter(
                "optimizer_cost_usd",
                "What providers charge.",
                ("provider", "model"),
                registry=registry,
            )
        )
        self._baseline = Counter(
            "optimizer_baseline_usd",
            "What the same requests would have cost on the baseline's model.",
            registry=registry,
        )
        self._compared = Counter(
            "optimizer_compared_usd",
            "What those requests cost that have such a baseline: less of it is saved.",
            registry=registry,
        )
        self._cache_saved = Counter(
            "optimizer_cache_saved_usd", "What answers from the cache saved.", registry=registry
        )
        self._calls = _Labelled(
            Histogram(
                "gen_ai_client_operation_duration_seconds",
                "Calls of providers, retries and fallbacks included.",
                _CALL,
                buckets=DURATIONS,
                registry=registry,
            )
        )
        self._tokens = _Labelled(
            Histogram(
                "gen_ai_client_token_usage",
                "Tokens of calls.",
                (*_CALL[:3], "gen_ai_token_type"),
                buckets=TOKENS,
                registry=registry,
            )
        )
        self._first = _Labelled(
            Histogram(
                "gen_ai_server_time_to_first_token_seconds",
                "Of streams, from the request's arrival.",
                _CALL[:3],
                buckets=FIRST_TOKEN,
                registry=registry,
            )
        )
        self._circuits = _Labelled(
            Gauge(
                "optimizer_circuit_open",
                "Whether a provider is left alone: 1 open, 0.5 about to be tried again, 0 closed.",
                ("provider",),
                multiprocess_mode="livemax",
                registry=registry,
            )
        )
        self._tasks = Gauge(
            "optimizer_tasks",
            "What is under way on the event loop: what does not end again is a leak.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._build = Gauge(
            "optimizer_build_info", "Always 1.", ("version",),
            multiprocess_mode="livemax", registry=registry,
        )  # fmt: skip
        self._build.labels(__version__).set(1)

    def count_tasks(self, number: int) -> None:
        """Of this worker's event loop, every now and then."""
        self._tasks.set(number)

    def observe(self, entry: LedgerEntry) -> None:
        request, decision = entry.request, entry.decision
        hit = "true" if request.cache_hit else "false"
        self._requests(request.endpoint, request.strategy, str(request.status), hit).inc()
        self._latency(request.endpoint).observe(request.latency_ms / 1000)
        elsewhere = request.provider_ms or 0.0
        self._overhead(request.endpoint).observe(max(0.0, request.latency_ms - elsewhere) / 1000)
        if request.cost:
            self._cost(request.provider, request.model).inc(float(request.cost))
        if decision is not None:
            self._saved(decision.cache_saved, decision.routing_saved, decision.baseline_cost)
        if is_call(request):
            self._call(request)

    def _saved(
        self, by_cache: Decimal | None, by_routing: Decimal | None, baseline: Decimal | None
    ) -> None:
        if by_cache:
            self._cache_saved.inc(float(by_cache))
        if by_routing is not None and baseline is not None:
            self._baseline.inc(float(baseline))
            self._compared.inc(max(0.0, float(baseline - by_routing)))

    def _call(self, request: RequestRecord) -> None:
        who = (operation_of(request), request.provider, request.model)
        seconds = seconds_of_call(request)
        self._calls(*who, request.error_code).observe(seconds)
        if request.status == RequestRecord.Status.ERROR:
            return
        self._tokens(*who, "input").observe(request.tokens_in)
        self._tokens(*who, "output").observe(request.tokens_out)
        if request.ttft_ms is not None:
            self._first(*who).observe(request.ttft_ms / 1000)

    def exposition(self) -> bytes:
        """What a scrape is given: of this worker, or of all where they share a folder."""
        for provider, state in self._circuits_now().items():
            self._circuits(provider).set(_CIRCUITS[state])
        folder = os.environ.get(SHARED_FOLDER)
        if not folder:
            return generate_latest(self.registry)
        _forget_the_dead(Path(folder))
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody, path=folder)  # type: ignore[no-untyped-call]
        return generate_latest(everybody)


def _forget_the_dead(folder: Path) -> None:
    """What a worker that is no more last said of itself holds no longer; what it counted does."""
    for path in folder.glob("gauge_live*_*.db"):
        pid = path.stem.rpartition("_")[2]
        if pid.isdigit() and not is_alive(int(pid)):
            mark_process_dead(int(pid), str(folder))  # type: ignore[no-untyped-call]


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
