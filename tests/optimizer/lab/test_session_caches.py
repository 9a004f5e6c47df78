"""Prompt caches along the sessions of a log, under another policy than the one that wrote it."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime, timedelta

from analytics.models import RequestRecord
from optimizer.lab.session_caches import SimulatedCaches
from routing.models import ModelRef

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
A, B = ModelRef("claude", "a"), ModelRef("claude", "b")
AUTO = ModelRef("openai", "c")


def turn(minutes: float, **fields: object) -> RequestRecord:
    made = {"session_id": "s", "cache_read_tokens": 1, "turn": "human", **fields}
    return RequestRecord(created_at=NOW + timedelta(minutes=minutes), **made)


def caches() -> SimulatedCaches:
    wires = {"claude": "anthropic"}
    return SimulatedCaches(lambda provider: wires.get(provider, "openai"), OrderedDict())


def used(at: SimulatedCaches, record: RequestRecord, ref: ModelRef, size: int, effort: str = "",
         tier: str = "") -> tuple[int, int]:  # fmt: skip
    usage = at.usage(record, ref, effort, tier, (size, 10))
    return usage.cache_read_tokens, usage.cache_write_tokens


def test_a_turn_reads_what_the_last_one_wrote_at_the_same_model_effort_and_tier() -> None:
    at = caches()
    assert used(at, turn(0), A, 5000) == (0, 5000)
    assert used(at, turn(1), A, 6000) == (5000, 1000)
    assert used(at, turn(2), A, 7000, effort="low") == (0, 7000)
    assert used(at, turn(3), A, 8000, effort="low", tier="flex") == (0, 8000)
    assert used(at, turn(4), B, 9000) == (0, 9000)
    assert used(at, turn(5), B, 9500) == (9000, 500)


def test_a_cache_ends_and_side_requests_leave_it_alone() -> None:
    at = caches()
    used(at, turn(0), A, 5000)
    assert used(at, turn(1, turn="title"), B, 300) == (0, 0)
    assert at.find(turn(2)) is not None
    assert at.find(turn(9)) is None
    assert used(at, turn(9), A, 6000) == (0, 6000)
    assert at.find(turn(9, session_id="other")) is None


def test_only_those_cache_that_do_so_unasked_or_were_asked_to() -> None:
    at = caches()
    unmarked = {"cache_read_tokens": 0, "session_id": "t"}
    assert used(at, turn(0, **unmarked), A, 5000) == (0, 0)
    assert used(at, turn(1, **unmarked), AUTO, 5000) == (0, 0)
    assert used(at, turn(2, **unmarked), AUTO, 6000) == (5000, 0)


def test_a_compaction_begins_anew() -> None:
    at = caches()
    used(at, turn(0), A, 5000)
    assert used(at, turn(1, turn="compaction"), A, 6000) == (5000, 0)
    assert used(at, turn(2), A, 900) == (0, 0)
