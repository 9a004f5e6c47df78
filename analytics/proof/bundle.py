"""Writes a proof: a month's rows, prices, verdicts, roots and figures, signed as one file.

The file is a ZIP archive whose comment, the last bytes of the file, is "Ed25519 " and the
signature, in hexadecimal, of the SHA-256 of everything before the signature. So any changed
byte is noticed, also between the files of the archive. :mod:`analytics.proof.verify` reads it.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from django.db.models import F

from analytics.ledger.savings import cost_savings
from analytics.ledger.seals import Pair, figure_defaults, leaves_of, row_hash
from analytics.models import (
    Comparison,
    Feedback,
    LedgerSeal,
    PriceOverride,
    RequestRecord,
    RoutingMetric,
)
from analytics.models.prices import PRICE_UNITS
from analytics.proof.day_roots import days_sign, latest_roots, ledger_began
from analytics.proof.ledger_check import DayCheck, ledger_check, pairs_of_day
from analytics.proof.signing import public_text, signing_key
from analytics.quality.rated_answers import baseline_propensity
from analytics.quality.report import METHOD as QUALITY_METHOD
from analytics.quality.report import quality_report
from analytics.reports.breakdown import breakdown, breakdown_row
from analytics.reports.intervals import METHOD as INTERVAL_METHOD
from analytics.reports.lever_rows import TrialReading
from analytics.reports.levers import lever_method, proof_figures
from analytics.reports.statement import month_of
from analytics.reports.sum_sources import RECORDED, total_of

FORMAT = 1
_PLACEHOLDER = b"Ed25519 " + b"0" * 128
_BY = ("day", "model", "user", "tag")
_MONEY_OF_COMPARISONS = ("judge_cost", "answer_cost")


class ProofImpossible(Exception):
    """The month cannot be proved; the message says why and what helps."""


class BundlePrices(Protocol):
    """The prices of the rows, and which costs are usage times price."""

    def add(self, pair: Pair) -> None:
        """Take in a row."""

    def records(self) -> list[dict[str, Any]]:
        """Return the prices of the rows that were taken in."""

    def sums(self) -> dict[str, Any]:
        """Return how many costs came about in each way, and their sums in USD."""


@dataclass(frozen=True, slots=True)
class WrittenProof:
    """A bundle that was written: its days, rows and the key that signed it."""

    path: Path
    days: int
    rows: int
    key: str


def bundle_write(
    path: Path,
    month: str,
    prices: BundlePrices,
    *,
    tolerance: float,
    version: str,
    levers: TrialReading,
    progress: Callable[[date], object] = lambda day: None,
) -> WrittenProof:
    """Write the proof of a month like "2026-10", or of its days that are over.

    Raises :class:`ProofImpossible`, and ``ValueError`` if ``month`` is none.
    """
    since, until = month_of(month)
    today = datetime.combine(datetime.now(UTC).date(), time(), UTC)
    until = min(until, today)
    if since >= until:
        raise ProofImpossible(f"No day of {month} is over yet.")
    _check(since.date(), until.date(), progress)
    days_sign(until.date() - timedelta(days=1), since.date())
    key = signing_key()
    files = dict(_files(since, until, prices, tolerance, levers))
    manifest = {
        "format": FORMAT,
        "product_version": version,
        "key": public_text(key),
        "month": month,
        "began": None if (began := ledger_began()) is None else began.isoformat(),
        "since": _text(since),
        "until": _text(until),
        "made_at": _text(datetime.now(UTC)),
        "baseline": "the model that was recorded with each request as its baseline",
        "methods": {
            "costs": {"name": "usage-times-rates", "version": 1},
            "interval": INTERVAL_METHOD,
            "quality": {**QUALITY_METHOD, "tolerance": tolerance},
            "levers": lever_method(levers),
        },
        "defaults": _plain(figure_defaults()),
        "money": [*_money_columns(), *_MONEY_OF_COMPARISONS],
        "files": {name: sha256(text).hexdigest() for name, text in files.items()},
    }
    draft = path.with_name(path.name + ".part")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", _json(manifest))
        for name, text in files.items():
            archive.writestr(name, text)
        archive.comment = _PLACEHOLDER
    signed = draft.read_bytes()[:-128]
    draft.write_bytes(signed + key.sign(sha256(signed).digest()).hex().encode())
    draft.replace(path)
    return WrittenProof(
        path, (until - since).days, files["rows.jsonl"].count(b"\n"), str(manifest["key"])
    )


def _check(since: date, until: date, progress: Callable[[date], object]) -> None:
    for check in ledger_check(since, until):
        progress(check.day)
        if check.pruned:
            raise ProofImpossible(
                f"Rows of {check.day} were pruned. Prove a month before its rows are deleted."
            )
        if check.unsealed and not (check.changed or check.missing or check.broken):
            raise ProofImpossible(
                f"{len(check.unsealed)} rows of {check.day} have no seal. If they were written "
                "before this version, seal them once with: manage.py prove --adopt"
            )
        if not check.agrees:
            raise ProofImpossible(
                f"{check.day}: {disagreement_text(check)}. A month is proved only as it was "
                "sealed; manage.py prove --check names what differs on every day."
            )


def disagreement_text(check: DayCheck) -> str:
    """Return what does not agree on a day, with the first ids of each kind."""
    kinds = {"changed": check.changed, "missing": check.missing, "without a seal": check.unsealed}
    texts = [
        f"{len(ids)} {'row' if len(ids) == 1 else 'rows'} {kind} "
        f"({', '.join(map(str, ids[:3]))}{', …' if len(ids) > 3 else ''})"
        for kind, ids in kinds.items()
        if ids
    ]
    return "; ".join([*texts, *check.broken])


def _files(
    since: datetime,
    until: datetime,
    prices: BundlePrices,
    tolerance: float,
    levers: TrialReading,
) -> Iterator[tuple[str, bytes]]:
    yield "rows.jsonl", b"".join(_rows(since.date(), until.date(), prices))
    yield "prices.json", _json(prices.records())
    yield "overrides.json", _json([_override(row) for row in PriceOverride.objects.all()])
    yield "comparisons.json", _json(_comparisons(since, until))
    yield "ratings.json", _json(_ratings(since, until))
    yield "days.json", _json(_days(since.date(), until.date()))
    stated = _statement(since, until, prices, tolerance)
    stated["levers"] = proof_figures(levers, since, until)
    yield "statement.json", _json(_plain(stated))


def _rows(since: date, until: date, prices: BundlePrices) -> Iterator[bytes]:
    day = since
    while day < until:
        sealed = leaves_of(LedgerSeal.objects.filter(day=day).order_by("id"))
        for pair in pairs_of_day(day):
            figures, rest, _ = row_hash(pair, sealed[pair[0].pk][1])
            prices.add(pair)
            yield b'{"rest":"' + rest.encode() + b'","row":' + figures + b"}\n"
        day += timedelta(days=1)


def _comparisons(since: datetime, until: datetime) -> list[dict[str, Any]]:
    rows = Comparison.objects.filter(created_at__gte=since, created_at__lt=until).order_by("pk")
    names = (
        "id", "created_at", "provider", "model", "score", "served", "reference_provider",
        "reference_model", "reference_score", "judge", "judge_cost", "answer_cost",
    )  # fmt: skip
    origin = {
        "session": F("request__session_id"), "user": F("request__user_id"),
        "key": F("request__api_key"),
    }  # fmt: skip
    return [_plain(row) for row in rows.values(*names, **origin)]


def _ratings(since: datetime, until: datetime) -> list[dict[str, Any]]:
    rows = Feedback.objects.filter(
        request__created_at__gte=since, request__created_at__lt=until
    ).order_by("pk")
    chances = {
        decision.request_id: baseline_propensity(decision)
        for decision in RoutingMetric.objects.filter(request__in=rows.values("request"))
    }
    names = ("id", "request", "score", "provider", "model", "pattern", "tier", "source")
    return [
        {**row, "request": str(row["request"]), "propensity": chances.get(row["request"])}
        for row in rows.values(*names)
    ]


def _days(since: date, until: date) -> Iterable[dict[str, Any]]:
    names = ("revision", "rows", "root", "previous", "hash", "key", "signature")
    return [
        {"day": day.isoformat(), **{name: getattr(root, name) for name in names}}
        for day, root in sorted(latest_roots(since, until).items())
    ]


def _override(row: PriceOverride) -> dict[str, Any]:
    names = ("provider", "model", *PRICE_UNITS, "valid_from", "valid_until", "note")
    return {name: _plain(getattr(row, name)) for name in names}


def _statement(
    since: datetime, until: datetime, prices: BundlePrices, tolerance: float
) -> dict[str, Any]:
    def named(by: str) -> dict[str, Any]:
        rows = breakdown(by, since, until)
        return {row["name"]: {k: v for k, v in row.items() if k != "name"} for row in rows}

    sums = total_of(RECORDED.by("strategy", since, until))
    total = breakdown_row("", sums)
    del total["name"]
    refused = RequestRecord.objects.filter(created_at__gte=since, created_at__lt=until)
    return {
        "total": total,
        "failed_attempts_cost": sums["failed_cost"],
        "refused": refused.filter(status=RequestRecord.Status.REFUSED).count(),
        "savings": cost_savings(since, until),
        "quality": quality_report(tolerance, since, until),
        "prices": prices.sums(),
        **{f"by_{by}": named(by) for by in _BY},
    }


def _money_columns() -> list[str]:
    return sorted(
        name for name in figure_defaults() if name.endswith(("cost", "_saved")) or name == "savings"
    )


def _plain(value: Any) -> Any:
    """Return what JSON can hold; money is text with ten places."""
    if isinstance(value, Decimal):
        return f"{value:.10f}"
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def _text(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True).encode()
