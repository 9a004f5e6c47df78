"""Metrics for Prometheus: the generative-AI conventions of OpenTelemetry, and money.

The conventions' names follow Prometheus here: dots become underscores, units become suffixes.
Amounts are floats: they are for monitoring. Accounting uses the ledger.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from operator import attrgetter
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
)
from optimizer.monitoring.tallies import Distribution, Tally

CONTENT_TYPE = CONTENT_TYPE_LATEST
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder where workers share their counts; the library reads it on import."""

_OVERHEAD = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5, 1, 5, 10)
_CALL = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "error_type")
_MOST_REASONS = 100
_MOST_MODELS = 500
"""Clients may invent names of models, such as dates of snapshots."""
_MOST_TALLIES = 1_000
_LABELS_OF = attrgetter(
    "endpoint", "strategy", "status", "cache_hit", "provider", "model", "error_code"
)
_CIRCUITS = {"closed": 0.0, "half_open": 0.5, "open": 1.0}


class _Labelled:
    """Caches a metric's children by labels, because the library looks them up under a lock."""

    def __init__(self, metric: Any) -> None:
        self._metric = metric
        self._children: dict[tuple[str, ...], Any] = {}

    def __call__(self, *labels: str) -> Any:
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._metric.labels(*labels)
        return child


class _Bounded:
    """Keeps the number of a label's values bounded: later values are counted as "other"."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: set[str] = set()

    def __call__(self, value: str) -> str:
        if value in self._values:
            return value
        if len(self._values) >= self._most:
            return "other"
        self._values.add(value)
        return value


class Meter:
    """Counts recorded requests.

    ``circuits`` is called at each scrape and returns the state of this worker's circuits
    ("closed", "half_open", "open") by provider.
    """

    def __init__(self, circuits: Callable[[], Mapping[str, str]] = dict) -> None:
        self.registry = registry = CollectorRegistry()
        self._model = _Bounded(_MOST_MODELS)
        self._tallies: dict[tuple[Any, ...], Tally] = {}
        self._lock = threading.Lock()  # pages that show the metrics are made on other threads
        self._circuits_now = circuits
        self._requests = _Labelled(
            Counter(
                "optimizer_requests",
                "Requests by their outcome.",
                ("endpoint", "strategy", "status", "cache_hit"),
                registry=registry,
            )
        )
        self._latency = _Labelled(
            Histogram(
                "optimizer_request_duration_seconds",
                "Time from a request's arrival to its record.",
                ("endpoint",),
                buckets=DURATIONS,
                registry=registry,
            )
        )
        self._overhead = _Labelled(
            Histogram(
                "optimizer_overhead_seconds",
                "Time of a request without the provider's part.",
                ("endpoint",),
                buckets=_OVERHEAD,
                registry=registry,
            )
        )
        self._cost = _Labelled(
            Counter(
                "optimizer_cost_usd",
                "Cost charged by providers.",
                ("provider", "model"),
                registry=registry,
            )
        )
        self._baseline = Counter(
            "optimizer_baseline_usd",
            "Cost of the same requests on the baseline's model.",
            registry=registry,
        )
        self._compared = Counter(
            "optimizer_compared_usd",
            "Cost of the requests that have a baseline; the difference to the baseline is saved.",
            registry=registry,
        )
        self._cache_saved = Counter(
            "optimizer_cache_saved_usd", "Cost saved by answers from the cache.", registry=registry
        )
        self._reason = _Bounded(_MOST_REASONS)
        self._refusals = _Labelled(
            Counter(
                "optimizer_refusals",
                "Requests that were refused, by the reply and by whether they have a record.",
                ("endpoint", "http_status", "reason", "recorded"),
                registry=registry,
            )
        )
        self._calls = _Labelled(
            Histogram(
                "gen_ai_client_operation_duration_seconds",
                "Duration of provider calls, including retries and fallbacks.",
                _CALL,
                buckets=DURATIONS,
                registry=registry,
            )
        )
        self._tokens = _Labelled(
            Histogram(
                "gen_ai_client_token_usage",
                "Tokens of provider calls.",
                (*_CALL[:3], "gen_ai_token_type"),
                buckets=TOKENS,
                registry=registry,
            )
        )
        self._first = _Labelled(
            Histogram(
                "gen_ai_server_time_to_first_token_seconds",
                "Time to the first token of streams, from the request's arrival.",
                _CALL[:3],
                buckets=FIRST_TOKEN,
                registry=registry,
            )
        )
        self._circuits = _Labelled(
            Gauge(
                "optimizer_circuit_open",
                "State of a provider's circuit: 1 open, 0.5 half open, 0 closed.",
                ("provider",),
                multiprocess_mode="livemax",
                registry=registry,
            )
        )
        self._tasks = Gauge(
            "optimizer_tasks",
            "Tasks on the event loop; a number that keeps growing is a leak.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._build = Gauge(
            "optimizer_build_info", "Always 1.", ("version",),
            multiprocess_mode="livemax", registry=registry,
        )  # fmt: skip
        self._build.labels(__version__).set(1)

    def count_tasks(self, number: int) -> None:
        """Set the number of tasks on this worker's event loop."""
        self._tasks.set(number)

    def count_refusal(self, endpoint: str, status: int, reason: str, recorded: bool) -> None:
        """Count a refused request; ``observe`` is not called for it."""
        in_ledger = "true" if recorded else "false"
        self._refusals(endpoint, str(status), self._reason(reason), in_ledger).inc()

    def observe(self, entry: LedgerEntry) -> None:
        """Count the request, its durations, its cost and its savings.

        The library counts it with the next :meth:`flush`: each second, and at each scrape.
        """
        request = entry.request
        key = _LABELS_OF(request)
        with self._lock:
            tally = self._tallies.get(key)
            if tally is None:
                if len(self._tallies) >= _MOST_TALLIES:
                    self._flush()
                    self._tallies.clear()
                tally = self._tallies[key] = self._tally_of(request)
            tally.add(entry)

    def flush(self) -> None:
        """Count in the library what was gathered, so that other workers can show it."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        for tally in self._tallies.values():
            tally.flush()

    def _tally_of(self, request: RequestRecord) -> Tally:
        endpoint, strategy, status = request.endpoint, request.strategy, str(request.status)
        provider, model = request.provider, self._model(request.model)
        hit = "true" if request.cache_hit else "false"
        counters = (
            partial(self._requests, endpoint, strategy, status, hit),
            partial(self._cost, provider, model),
            lambda: self._baseline,
            lambda: self._compared,
            lambda: self._cache_saved,
        )
        call = tokens = None
        if is_call(request):
            labels = (operation_of(request), provider, model)
            call = Distribution(partial(self._calls, *labels, request.error_code))
            if request.status != RequestRecord.Status.ERROR:
                tokens = (
                    Distribution(partial(self._tokens, *labels, "input")),
                    Distribution(partial(self._tokens, *labels, "output")),
                    Distribution(partial(self._first, *labels)),
                )
        return Tally(
            counters,
            Distribution(partial(self._latency, endpoint)),
            Distribution(partial(self._overhead, endpoint)),
            call,
            tokens,
        )

    def exposition(self) -> bytes:
        """Return the text of a scrape: of this worker, or of all workers that share a folder."""
        self.flush()
        for provider, state in self._circuits_now().items():
            self._circuits(provider).set(_CIRCUITS[state])
        folder = os.environ.get(SHARED_FOLDER)
        if not folder:
            return generate_latest(self.registry)
        _remove_dead_workers(Path(folder))
        all_workers = CollectorRegistry()
        MultiProcessCollector(all_workers, path=folder)  # type: ignore[no-untyped-call]
        return generate_latest(all_workers)


def _remove_dead_workers(folder: Path) -> None:
    """Remove the gauges of workers that have ended; their counters are kept."""
    for path in folder.glob("gauge_live*_*.db"):
        pid = path.stem.rpartition("_")[2]
        if pid.isdigit() and not is_alive(int(pid)):
            mark_process_dead(int(pid), str(folder))  # type: ignore[no-untyped-call]


def is_alive(pid: int) -> bool:
    """Return whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
