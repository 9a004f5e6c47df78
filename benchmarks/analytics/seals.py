"""What sealing costs the ledger's commit: ``python -m benchmarks.analytics.seals [DATABASE_URL]``.

Writes the same rows with and without seals, in turn, and prints the median of each: CPU time
and time in all for each row, by the number of rows of a commit. The database is a file of
SQLite unless another one, which must be empty, is named.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict

_ROWS, _ROUNDS, _SIZES = 512, 7, (1, 8, 64)


def main() -> None:
    """Measure and print."""
    scratch = tempfile.TemporaryDirectory()
    database = sys.argv[1] if len(sys.argv) > 1 else ""
    os.environ.update(DATA_DIR=scratch.name, DATABASE_URL=database, ENV_FILE=os.devnull)
    if not database:
        del os.environ["DATABASE_URL"]
    os.environ["DJANGO_SETTINGS_MODULE"] = "optimizer.settings"
    import django

    django.setup()
    from django.core.management import call_command

    from analytics.ledger import ledger

    call_command("migrate", verbosity=0)
    seal = ledger.rows_seal
    times: dict[tuple[int, bool], list[tuple[float, float]]] = defaultdict(list)
    for _ in range(_ROUNDS):
        for size in _SIZES:
            for sealed in (False, True):
                ledger.rows_seal = seal if sealed else lambda pairs: None  # type: ignore[assignment]
                times[size, sealed].append(_written(size))
    for (size, sealed), measured in times.items():
        cpu, wall = (statistics.median(values) for values in zip(*measured, strict=True))
        kind = "sealed" if sealed else "without seals"
        print(f"{size:3} rows a commit, {kind}: {cpu:.3f} ms CPU, {wall:.3f} ms a row")
    scratch.cleanup()


def _written(size: int) -> tuple[float, float]:
    from analytics.ledger.ledger import LedgerEntry, write_entries
    from tests.factories import RequestRecordFactory, RoutingMetricFactory

    entries = []
    for _ in range(_ROWS):
        decision = RoutingMetricFactory.build(request=RequestRecordFactory.build(prompt="x" * 500))
        entries.append(LedgerEntry(decision.request, decision))
    cpu, wall = time.process_time(), time.perf_counter()
    for at in range(0, _ROWS, size):
        write_entries(entries[at : at + size])
    return (
        (time.process_time() - cpu) / _ROWS * 1e3,
        (time.perf_counter() - wall) / _ROWS * 1e3,
    )


if __name__ == "__main__":
    main()
