"""Which member takes a call: residency always, then health, limits, weights, conversations."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.chat import Chat, Message, Text
from providers.errors import (
    AuthenticationFailed,
    OutsideResidency,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
)
from providers.pools.pool import MemberPool
from providers.pools.rate_headers import RateLimitsLeft, Remaining
from tests.providers.pools.building import MODEL, Clock, member, pool_of

NONE: frozenset[str] = frozenset()
EU = frozenset({"eu"})
PROMPT = Chat.of_prompt("Hello")
REGIONS = st.sets(st.sampled_from(["eu", "us", "de"]), max_size=3)
ERRORS = st.sampled_from([
    RateLimited("openai", "limits", retry_after=5), RateLimited("openai", "limits"),
    AuthenticationFailed("openai", "refused"), ProviderUnavailable("openai", "failed"),
])  # fmt: skip


def talk(beginning: str, turns: int) -> Chat:
    messages = [Message("user", (Text(beginning),))]
    for turn in range(turns):
        messages += [Message("assistant", (Text("Yes"),)), Message("user", (Text(str(turn)),))]
    return Chat(tuple(messages))


def names(pool: MemberPool, chats: list[Chat], residency: frozenset[str] = NONE) -> list[str]:
    """Return the members that take one call after another, each of which ends at once."""
    taken = []
    for chat in chats:
        one = pool.choose(MODEL, chat, "", residency)
        pool.begins(one, MODEL, 0)
        pool.answers(one, MODEL, pool.clock())
        one.busy -= 1
        taken.append(one.name)
    return taken


@given(
    st.lists(REGIONS, min_size=1, max_size=5),
    st.lists(st.tuples(REGIONS, st.none() | ERRORS, st.integers(0, 40)), max_size=60),
    st.sampled_from(["weights", "least_busy", "fastest", "most_left"]),
)
def test_residency_is_never_violated(
    places: list[set[str]], calls: list[tuple[set[str], ProviderError | None, int]], choose: str
) -> None:
    """Whatever fails, and however few are left: no member outside takes a call."""
    clock = Clock()
    members = [member(f"m{n}", regions=sorted(p)) for n, p in enumerate(places)]
    pool = pool_of(*members, choose=choose, clock=clock)  # type: ignore[arg-type]
    for number, (wanted, error, seconds) in enumerate(calls):
        residency, tried = frozenset(wanted), set[str]()
        chat = talk(f"conversation {number % 7}", number % 3)
        able = [one for one in members if residency <= one.spec.regions]
        if not able:
            with pytest.raises(OutsideResidency):
                pool.choose(MODEL, chat, "", residency)
            continue
        for _ in range(len(able)):
            one = pool.choose(MODEL, chat, "", residency, tried, 10)
            assert residency <= one.spec.regions
            assert one.name not in tried
            pool.begins(one, MODEL, 10)
            one.busy -= 1
            if error is None:
                pool.answers(one, MODEL, clock())
                break
            pool.fails(one, MODEL, clock(), error)
            tried.add(one.name)
        clock.now += seconds


def test_a_refusal_says_where_the_data_must_stay() -> None:
    pool = pool_of(member("us-1", regions=["us"]))
    with pytest.raises(OutsideResidency, match="must stay in de and eu"):
        pool.choose(MODEL, PROMPT, "", frozenset({"eu", "de"}))


def test_weights_are_kept() -> None:
    pool = pool_of(member("a", weight=6), member("b", weight=3), member("c", weight=1))
    assert Counter(names(pool, [PROMPT] * 1000)) == {"a": 600, "b": 300, "c": 100}


def test_weights_are_kept_by_conversations_within_a_few_percent() -> None:
    pool = pool_of(member("a", weight=6), member("b", weight=3), member("c", weight=1))
    taken = Counter(names(pool, [talk(f"conversation {n}", 2) for n in range(3000)]))
    assert taken["a"] == pytest.approx(1800, rel=0.04)
    assert taken["b"] == pytest.approx(900, rel=0.06)
    assert taken["c"] == pytest.approx(300, rel=0.12)


def test_a_conversation_stays_and_only_those_of_a_failed_member_move() -> None:
    clock = Clock()
    a, _b, _c = members = [member("a"), member("b"), member("c")]
    pool = pool_of(*members, clock=clock)
    beginnings = [f"conversation {n}" for n in range(60)]
    first = names(pool, [talk(text, 1) for text in beginnings])
    assert set(first) == {"a", "b", "c"}
    assert names(pool, [talk(text, 5) for text in beginnings]) == first
    # Another worker, which knows nothing of the first, finds the same members.
    other = pool_of(member("c"), member("a"), member("b"))
    assert names(other, [talk(text, 2) for text in beginnings]) == first
    pool.fails(a, MODEL, clock(), AuthenticationFailed("openai", "refused"))
    moved = names(pool, [talk(text, 6) for text in beginnings])
    assert "a" not in moved
    assert all(new == old for new, old in zip(moved, first, strict=True) if old != "a")
    clock.now += 301
    assert names(pool, [talk(text, 7) for text in beginnings]) == first


def test_another_caller_s_conversation_is_another() -> None:
    pool = pool_of(*(member(f"m{n}") for n in range(8)))
    chat = talk("Hello", 2)
    assert len({pool.choose(MODEL, chat, f"team {n}", NONE).name for n in range(40)}) > 4


def test_a_long_first_turn_goes_where_its_next_turn_will() -> None:
    pool = pool_of(*(member(f"m{n}") for n in range(8)))
    text = "word " * 2000
    first = pool.choose(MODEL, Chat.of_prompt(text), "", NONE, tokens=2000)
    assert pool.choose(MODEL, talk(text, 1), "", NONE, tokens=2010) is first


def test_committed_capacity_is_filled_first() -> None:
    ahead = member("ahead", committed=True, most_at_once=3)
    pool = pool_of(member("other", weight=100), ahead)
    taken = []
    for _ in range(5):
        one = pool.choose(MODEL, PROMPT, "", NONE)
        pool.begins(one, MODEL, 0)
        taken.append(one.name)
    assert taken == ["ahead"] * 3 + ["other"] * 2
    ahead.busy -= 1
    assert pool.choose(MODEL, talk("Hello", 2), "", NONE) is ahead


def test_a_key_that_is_limited_is_spared_for_that_model_as_long_as_it_said() -> None:
    clock = Clock()
    a, b = member("a"), member("b")
    pool = pool_of(a, b, clock=clock)
    pool.fails(a, MODEL, clock(), RateLimited("openai", "limits", retry_after=20))
    assert set(names(pool, [PROMPT] * 10)) == {"b"}
    assert pool.choose("another-model", PROMPT, "", NONE) is a
    clock.now += 21
    assert set(names(pool, [PROMPT] * 10)) == {"a", "b"}


def test_if_all_are_spared_the_soonest_is_asked() -> None:
    clock = Clock()
    a, b = member("a"), member("b")
    pool = pool_of(a, b, clock=clock)
    pool.fails(a, MODEL, clock(), RateLimited("openai", "limits", retry_after=40))
    pool.fails(b, MODEL, clock(), RateLimited("openai", "limits", retry_after=10))
    assert pool.choose(MODEL, PROMPT, "", NONE) is b
    assert pool.shortest_wait(MODEL, NONE) == 10


def test_what_the_headers_leave_decides_before_there_is_a_429() -> None:
    clock = Clock()
    a, b = member("a"), member("b")
    pool = pool_of(a, b, clock=clock)
    a.note_limits(MODEL, RateLimitsLeft(Remaining(3, 100, 30.0), Remaining(50, 1000, 30.0)), 100)
    assert pool.choose(MODEL, PROMPT, "", NONE, tokens=60) is b
    taken = []
    for _ in range(12):
        one = pool.choose(MODEL, PROMPT, "", NONE, tokens=10)
        pool.begins(one, MODEL, 10)
        taken.append(one.name)
    assert taken.count("a") == 3
    clock.now += 31
    assert a in [pool.choose(MODEL, PROMPT, "", NONE, tokens=60) for _ in range(2)]


def test_one_that_was_down_gets_one_call_first_and_is_not_flooded() -> None:
    clock = Clock()
    a, b = member("a"), member("b")
    pool = pool_of(a, b, clock=clock)
    pool.fails(a, MODEL, clock(), ProviderUnavailable("openai", "failed"))
    names(pool, [PROMPT] * 500)
    clock.now += 2
    probe = next(
        one for one in (pool.choose(MODEL, PROMPT, "", NONE) for _ in range(3)) if one is a
    )
    pool.begins(probe, MODEL, 0)
    began = clock()
    assert {pool.choose(MODEL, PROMPT, "", NONE).name for _ in range(6)} == {"b"}
    pool.answers(probe, MODEL, began)
    assert names(pool, [PROMPT] * 10).count("a") == 5


def test_many_calls_that_fail_together_spare_a_member_once() -> None:
    clock = Clock()
    a, b = member("a"), member("b")
    pool = pool_of(a, b, clock=clock)
    for _ in range(200):
        clock.now += 0.001
        pool.fails(a, MODEL, 100.0, ProviderUnavailable("openai", "failed"))
    assert 0 < pool.spared_for(a) <= 1


def test_a_call_from_before_says_nothing_of_a_limit_since() -> None:
    clock = Clock()
    a = member("a")
    pool = pool_of(a, member("b"), clock=clock)
    began = clock()
    clock.now += 1
    pool.fails(a, MODEL, clock(), RateLimited("openai", "limits", retry_after=20))
    clock.now += 1
    pool.answers(a, MODEL, began)
    assert pool.spared_for(a, MODEL) == 19


def test_the_least_busy_by_weight() -> None:
    a, b = member("a", weight=2), member("b")
    pool = pool_of(a, b, choose="least_busy")
    a.busy, b.busy = 3, 1
    assert pool.choose(MODEL, PROMPT, "", NONE) is a  # 4/2 and 2/1: by turns
    a.busy = 4
    assert pool.choose(MODEL, PROMPT, "", NONE) is b


def test_the_fastest_until_it_is_busy() -> None:
    clock = Clock()
    slow, fast = member("slow"), member("fast")
    pool = pool_of(slow, fast, choose="fastest", clock=clock)
    slow.opening.add(2.0, clock())
    fast.opening.add(0.5, clock())
    assert pool.choose(MODEL, PROMPT, "", NONE) is fast
    fast.busy = 6
    assert pool.choose(MODEL, PROMPT, "", NONE) is slow
    fast.busy = 1
    clock.now += 600  # what was slow long ago may be fast now
    assert pool.choose(MODEL, PROMPT, "", NONE) is slow


def test_the_one_with_most_left() -> None:
    a, b = member("a"), member("b")
    pool = pool_of(a, b, choose="most_left")
    a.note_limits(MODEL, RateLimitsLeft(Remaining(20, 100, 30.0)), 100)
    b.note_limits(MODEL, RateLimitsLeft(Remaining(30, 100, 30.0)), 100)
    assert pool.choose(MODEL, PROMPT, "", NONE) is b


def test_members_may_have_some_models_alone() -> None:
    a, b = member("a", models=frozenset({"other"})), member("b")
    pool = pool_of(a, b)
    assert set(names(pool, [PROMPT] * 4)) == {"b"}
