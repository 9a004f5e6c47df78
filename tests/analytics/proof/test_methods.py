"""The verifier's methods: those of today agree with the reports, those of old bundles stay."""

from __future__ import annotations

import hashlib
import uuid
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analytics.proof import verify
from analytics.quality.means import mean_over
from analytics.quality.report import METHOD as QUALITY_METHOD
from analytics.reports.cluster_labels import Origin
from analytics.reports.figures import no_figures
from analytics.reports.intervals import METHOD, interval_of

OLD = Path(__file__).parent / "data"


def rows_of(seed: int, n: int, sizes: dict[str, int], days: int, apart: float) -> list[Any]:
    """Rows of a bundle: for each column, one of so many names that differ; 0: no names."""
    rng = np.random.default_rng(seed)
    value = rng.lognormal(0, 1, n)
    rows: list[Any] = [
        {"id": str(uuid.UUID(bytes=rng.bytes(16))), "status": "ok", "cost": Decimal(0)}
        for _ in range(n)
    ]
    for column, size in (*sizes.items(), ("created_at", days)):
        place = rng.integers(max(size, 1), size=n)
        value *= np.exp(apart * rng.normal(size=max(size, 1)))[place]
        for row, at in zip(rows, place, strict=True):
            named = f"2026-10-{at + 1:02d}T00" if column == "created_at" else f"{column}{at}"
            row[column] = named if size else ""
    for row, saved in zip(rows, value, strict=True):
        row["decision.actual_cost"] = row["decision.routing_saved"] = Decimal(0)
        row["decision.baseline_cost"] = Decimal(str(round(saved, 8)))
        if rng.random() < 0.1:
            row |= {"status": "error", "cost": Decimal("0.01"), "decision.baseline_cost": None}
    return rows


def groups_of(rows: list[Any]) -> dict[str, dict[str, Any]]:
    """The sums of the database."""

    def group(row: Any, *columns: str) -> str:
        for name in columns:
            if row[name]:
                return name[0] + hashlib.md5(row[name].encode()).hexdigest()[-2:]
        return "r" + row["id"][-2:]

    groups: dict[str, dict[str, Any]] = defaultdict(lambda: defaultdict(no_figures))
    for row in rows:
        names = {
            "request": row["id"][-2:],
            "session": group(row, "session_id"),
            "user": group(row, "user_id", "session_id"),
            "key": group(row, "api_key", "user_id", "session_id"),
            "day": row["created_at"][:10],
        }
        for by, name in names.items():
            sums = groups[by][name]
            sums["paired"] += verify.paired(row)
            sums["baseline_cost"] += row["decision.baseline_cost"] or 0
            sums["lost_cost"] += verify.lost(row)
    return groups


@given(
    st.integers(0, 10**6), st.sampled_from([20, 60, 400]),
    st.fixed_dictionaries({
        "session_id": st.sampled_from([0, 5, 40, 200]), "user_id": st.sampled_from([0, 1, 30]),
        "api_key": st.sampled_from([0, 3, 50]),
    }),
    st.sampled_from([1, 5, 30]), st.sampled_from([0.0, 0.3, 1.0]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_verifier_computes_the_interval_of_the_report(
    seed: int, n: int, sizes: dict[str, int], days: int, apart: float
) -> None:
    rows = rows_of(seed, n, sizes, days, apart)
    stated = interval_of(groups_of(rows))
    found = verify.INTERVALS[METHOD["name"], METHOD["version"]](METHOD, rows, verify.saved_by)
    assert (found["varies_by"], found["no_interval"]) == (stated.by, stated.refused)
    for name in ("low", "high", "next_low", "next_high"):
        bound = getattr(stated, name)
        other = found[f"{'next_saved' + name[4:] if 'next' in name else 'saved_' + name}"]
        assert (bound is None) == (other is None)
        if bound is not None:
            assert abs(bound - other) <= max(Decimal("2e-10"), abs(bound) * Decimal("1e-9"))


@given(
    st.integers(0, 10**6), st.sampled_from([30, 200]), st.sampled_from([0, 5, 20, 80]),
    st.sampled_from([0, 3, 40]), st.sampled_from([0.0, 0.5, 1.0]),
)  # fmt: skip
@example(639, 30, 0, 40, 1.0)  # equal variances, of which rounding chose
@settings(max_examples=60, deadline=None)
def test_the_verifier_computes_the_mean_of_pairs_of_the_report(
    seed: int, n: int, sessions: int, users: int, alike: float
) -> None:
    rng = np.random.default_rng(seed)
    session, user = rng.integers(max(sessions, 1), size=n), rng.integers(max(users, 1), size=n)
    own = rng.choice([-0.5, 0.0, 0.5], size=max(sessions, 1))[session]
    gains = np.where(rng.random(n) < alike, own, rng.choice([-0.5, 0.0, 0.5], size=n))
    start = datetime(2026, 10, 1, tzinfo=UTC)
    origins = [
        Origin(
            str(at), f"s{session[at]}" if sessions else "", f"u{user[at]}" if users else "", "k",
            (start + timedelta(hours=int(rng.integers(24 * 20)))).date(),
        )
        for at in range(n)
    ]  # fmt: skip
    stated = mean_over(gains, origins, -1.0)
    labels = verify.labels_of(
        QUALITY_METHOD, [(*origin[:4], f"{origin.day}T12:00:00+00:00") for origin in origins]
    )
    computed = verify.bounded_mean(QUALITY_METHOD, list(gains), labels, -1.0)
    assert computed["count"] == stated.count
    for name in ("mean", "low", "high"):
        bound = getattr(stated, name)
        assert (bound is None) == (computed[name] is None)
        assert bound is None or abs(bound - computed[name]) <= 2e-6


@pytest.mark.parametrize("path", sorted(OLD.glob("*.zip")), ids=lambda path: path.stem)
def test_bundles_of_earlier_versions_still_agree(path: Path) -> None:
    problems, bundle = verify.verify(path.read_bytes())
    assert problems == []
    assert bundle.statement["savings"]["saved_low"] is not None
