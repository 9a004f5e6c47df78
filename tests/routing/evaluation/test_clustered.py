"""The interval of a total of requests that come in clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import stdtrit

from benchmarks.coverage.__main__ import coverage
from routing.evaluation.clustered import (
    FEWEST_CLUSTERS,
    Clusters,
    TooFewClusters,
    TotalInterval,
    clusters_of,
    spread_of,
    total_interval,
    variance_of_one,
)
from routing.evaluation.students_t import t_quantile

values = st.integers(30, 120).flatmap(
    lambda n: arrays(np.float64, n, elements=st.floats(-100, 100, allow_subnormal=False))
)


def in_groups(values: np.ndarray, size: int) -> Clusters:
    place = np.arange(len(values)) // size
    return Clusters(np.bincount(place).astype(float), np.bincount(place, weights=values))


def logged(values: np.ndarray, sessions: int = 1) -> dict[str, Clusters]:
    return {"request": in_groups(values, 1), "session": in_groups(values, sessions)}


def close(found: TotalInterval, low: float, high: float) -> bool:
    return bool(np.allclose((found.low, found.high), (low, high), rtol=1e-6, atol=1e-6))


@given(values)
def test_the_total_lies_within_and_the_next_one_is_less_sure(found: np.ndarray) -> None:
    interval = total_interval(logged(found))
    assert interval.low <= interval.total <= interval.high
    assert interval.next_low <= interval.low
    assert interval.next_high >= interval.high


@given(values, st.floats(0.01, 100))
def test_another_currency_has_the_same_interval(found: np.ndarray, rate: float) -> None:
    interval, other = total_interval(logged(found)), total_interval(logged(found * rate))
    assert close(other, interval.low * rate, interval.high * rate)


@given(values)
def test_a_loss_is_a_saving_upside_down(found: np.ndarray) -> None:
    interval, other = total_interval(logged(found)), total_interval(logged(-found))
    assert close(other, -interval.high, -interval.low)


@given(values, st.randoms(use_true_random=False))
def test_the_order_does_not_count(found: np.ndarray, random: object) -> None:
    shuffled = found.copy()
    np.random.default_rng(1).shuffle(shuffled)
    interval = total_interval(logged(found))
    assert close(total_interval(logged(shuffled)), interval.low, interval.high)


def test_requests_that_save_the_same_leave_no_doubt() -> None:
    interval = total_interval(logged(np.full(60, 0.45), 3))
    assert interval.low == interval.high == interval.total


def test_requests_of_a_session_that_are_alike_count_once() -> None:
    each = np.random.default_rng(2).exponential(1, 100)
    alone = total_interval(logged(each))
    repeated = total_interval(logged(np.repeat(each, 4), 4))
    assert repeated.by == "session"
    assert (repeated.high - repeated.total) / 4 == pytest.approx(alone.high - alone.total, rel=0.02)


def test_equal_clusters_have_the_freedom_of_their_number() -> None:
    clusters = in_groups(np.random.default_rng(3).normal(1, 1, 200), 10)
    spread = spread_of(clusters, variance_of_one(clusters), "session")
    assert spread.freedom == pytest.approx(19)


def test_one_large_cluster_leaves_few_degrees_of_freedom() -> None:
    counts = np.array([100.0, *[2.0] * 50])
    totals = counts * np.random.default_rng(4).normal(1, 0.5, 51)
    clusters = Clusters(counts, totals)
    assert spread_of(clusters, 1.0, "user").freedom < 3


def test_a_few_sessions_give_no_interval() -> None:
    found = np.random.default_rng(5).exponential(1, 110)
    clusters = {"request": in_groups(found, 1), "session": in_groups(found, 10)}
    with pytest.raises(TooFewClusters, match=f"of 11.0 sessions; {FEWEST_CLUSTERS} are needed"):
        total_interval(clusters)


@pytest.mark.parametrize("by", ["user", "key"])
def test_many_users_of_whom_a_few_send_most_give_no_interval(by: str) -> None:
    found = np.random.default_rng(5).exponential(1, 130)
    few = np.concatenate([np.arange(100) // 20, np.arange(5, 35)])
    labels = Clusters(np.bincount(few).astype(float), np.bincount(few, weights=found))
    with pytest.raises(TooFewClusters, match=rf"of 8\.\d {by}s; {FEWEST_CLUSTERS} are needed"):
        total_interval({"request": in_groups(found, 1), by: labels})


def test_few_requests_give_no_interval() -> None:
    with pytest.raises(TooFewClusters, match="29 requests are too few"):
        total_interval(logged(np.ones(29)))


@pytest.mark.parametrize(("by", "number"), [("user", 1), ("user", 11), ("key", 5), ("day", 3)])
def test_few_users_keys_and_days_are_taken_as_given(by: str, number: int) -> None:
    found = np.random.default_rng(6).exponential(1, 200)
    clusters = {"request": in_groups(found, 1), by: in_groups(found, 200 // number + 1)}
    assert total_interval(clusters) == total_interval({"request": clusters["request"]})


def test_users_and_days_that_both_matter_are_added_up() -> None:
    rng = np.random.default_rng(7)
    user, day = np.arange(900) % 30, np.arange(900) // 30
    found = rng.normal(0, 1, 30)[user] + rng.normal(0, 1, 30)[day] + rng.normal(0, 0.1, 900)

    def by(labels: np.ndarray) -> Clusters:
        return Clusters(np.bincount(labels).astype(float), np.bincount(labels, weights=found))

    clusters = {"request": in_groups(found, 1), "user": by(user), "day": by(day)}
    both = total_interval(clusters)
    widest = max(
        (total_interval({"request": clusters["request"], name: clusters[name]})
         for name in ("user", "day")),
        key=lambda interval: interval.high - interval.low,
    )  # fmt: skip
    assert both.high - both.low > 1.1 * (widest.high - widest.low)


@pytest.mark.parametrize("probability", [0.6, 0.8, 0.975, 0.9995])
@pytest.mark.parametrize("freedom", [1, 1.3, 2.5, 10, 29.3, 255.5, 20_000])
def test_quantiles_of_students_t(probability: float, freedom: float) -> None:
    expected = stdtrit(freedom, probability)
    assert t_quantile(probability, freedom) == pytest.approx(expected, rel=1e-9, abs=1e-7)


@pytest.mark.parametrize("size", [300, 3000])
@pytest.mark.parametrize(
    "traffic",
    [
        "independent requests", "sessions of 3", "sessions of 10", "2 000 Zipf users",
        "agent loops of 30", "day effects of 0.2", "200 users, day effects of 0.2",
    ],
)  # fmt: skip
def test_intervals_hold_the_truth_as_often_as_they_say(traffic: str, size: int) -> None:
    held, refused = coverage(f"savings: {traffic}", size, 200, 1)
    if (traffic, size) == ("agent loops of 30", 300):
        assert refused == 1
        return
    # Two hundred logs: 95 % give or take 3 %.
    assert refused <= 0.2
    assert 0.91 <= held <= 0.99


@pytest.mark.parametrize(
    "row",
    [
        "what-if, cost: 50 users", "what-if, quality: 200 users", "quality: pairs of 50 users",
        "ratings: harder prompts to the better model", "ratings: the same, of 100 users",
        "ratings: a router that leaves nothing to chance",
    ],
)  # fmt: skip
def test_so_do_those_of_policies_pairs_and_ratings(row: str) -> None:
    held, refused = coverage(row, 300, 60, 1)
    if "nothing to chance" in row:
        assert refused == 1
        return
    # Sixty logs: 95 % give or take 5.5 %.
    assert refused == 0
    assert held >= 0.9


@pytest.mark.parametrize(("users", "size"), [(50, 300), (50, 3000), (200, 300), (200, 3000)])
def test_users_that_differ_strongly_have_wide_intervals_that_hold_the_truth(
    users: int, size: int
) -> None:
    held, refused = coverage(f"savings: {users} users that differ strongly", size, 200, 1)
    assert refused <= 0.2
    assert held >= 0.9


def users_of(rng: np.random.Generator, users: int, apart: float, n: int) -> dict[str, Clusters]:
    """Requests of users whose savings differ by a log-normal factor."""
    own = rng.lognormal(0, apart, users)
    user = rng.integers(users, size=n)
    values = own[user] * rng.lognormal(0, 1.0, n)
    return {
        "request": clusters_of(values, rng.integers(256, size=n)),
        "user": clusters_of(values, user),
    }


def sides(interval: TotalInterval) -> tuple[float, float]:
    return interval.total - interval.low, interval.high - interval.total


def test_the_middle_of_users_shows_how_far_the_dearest_may_lie() -> None:
    """A log without its dearest users looks harmless by its own spread and skewness."""
    rng = np.random.default_rng(3)
    users = np.arange(50)
    for apart, at_least, at_most in ((0.3, 0.9, 1.3), (1.2, 1.3, 20.0)):
        value = rng.lognormal(0, apart, 50).clip(max=np.exp(1.5 * apart))
        alone = {"request": clusters_of(value, users)}
        wider = sides(total_interval({**alone, "user": clusters_of(value, users)}))
        plain = sides(total_interval(alone))
        assert wider[0] == pytest.approx(plain[0])
        assert at_least <= wider[1] / plain[1] <= at_most


def test_users_that_lose_are_treated_like_those_that_save() -> None:
    clusters = users_of(np.random.default_rng(5), 60, 1.0, 3000)
    losses = {by: Clusters(part.counts, -part.totals) for by, part in clusters.items()}
    assert sides(total_interval(losses)) == pytest.approx(sides(total_interval(clusters))[::-1])


def test_users_who_save_next_to_nothing_beside_a_few_have_no_interval() -> None:
    rng = np.random.default_rng(6)
    value = np.concatenate([np.full(40, 1e-6), rng.lognormal(5, 3, 15)])
    clusters = {
        "request": clusters_of(value, np.arange(55)),
        "user": clusters_of(value, np.arange(55)),
    }
    for sign in (1, -1):
        signed = {by: Clusters(part.counts, sign * part.totals) for by, part in clusters.items()}
        with pytest.raises(TooFewClusters, match="differ so strongly"):
            total_interval(signed)


def test_the_side_of_the_shorter_tail_is_nearer() -> None:
    rng = np.random.default_rng(4)
    values = rng.lognormal(0, 1.0, 400)
    interval = total_interval({"request": clusters_of(values, np.arange(400) % 200)})
    assert interval.high - interval.total > interval.total - interval.low
