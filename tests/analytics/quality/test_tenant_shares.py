"""No tenant steers what all others' requests are routed by, however often it votes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.access.keys import key_make
from analytics.models import ApiKey, LearnedEvidence, Team
from analytics.quality.evidence import evidence_load, evidence_rebuild
from analytics.quality.feedback import feedback_record
from analytics.quality.tenant_shares import ALONE, combined
from routing.models import Evidence
from tests.factories import CachedResponseFactory, RequestRecordFactory

KIND = ("factual", "simple", "claude", "claude-haiku-5-5")
RED, BLUE = "team:red", "team:blue"

weights = st.floats(0.01, 50)
evidences = weights.flatmap(
    lambda weight: st.builds(
        Evidence,
        st.integers(1, 10_000),
        st.just(weight),
        st.floats(0, weight),
        st.floats(0, weight),
    )
)
kinds = st.tuples(
    st.sampled_from(["factual", "code"]), st.sampled_from(["simple", "complex"]),
    st.just("claude"), st.sampled_from(["one", "two"]),
)  # fmt: skip


def teams(*names: str) -> None:
    for name in names:
        key_make(ApiKey(name=name, team=Team.objects.create(name=name)))


def vote(tenant: str, rating: int, times: int, voter: str = "aco_1") -> None:
    for _ in range(times):
        request = RequestRecordFactory(tenant=tenant, api_key=voter)
        feedback_record(
            request_id=request.pk, rating=rating, tenant=tenant, voter=voter,
            expect=lambda *_: 0.8,
        )  # fmt: skip


@pytest.mark.django_db
def test_many_votes_and_keys_of_one_tenant_weigh_no_more_than_all_others() -> None:
    teams("red", "blue")
    vote(BLUE, 1, 10)
    for number in range(5):
        vote(RED, -1, 12, f"aco_{number}")
    learned = evidence_load()[KIND]
    mean = learned.quality_sum / learned.weight
    assert learned.count == 70
    assert mean >= 0.5 - 1e-6


@pytest.mark.django_db
def test_a_tenant_that_votes_alone_among_several_weighs_as_what_was_expected() -> None:
    teams("red", "blue")
    vote(RED, -1, 40)
    assert evidence_load()[KIND].weight == pytest.approx(ALONE)


@pytest.mark.django_db
def test_the_only_tenant_is_learned_from_in_full() -> None:
    teams("red")
    vote(RED, -1, 40)
    assert evidence_load()[KIND].weight > 20


@pytest.mark.django_db
def test_rebuilding_keeps_the_shares() -> None:
    teams("red", "blue")
    vote(BLUE, 1, 3)
    vote(RED, -1, 20)
    before = evidence_load()[KIND]
    evidence_rebuild()
    assert evidence_load()[KIND].quality_sum == pytest.approx(before.quality_sum, rel=0.02)
    assert set(LearnedEvidence.objects.values_list("tenant", flat=True)) == {RED, BLUE}


@pytest.mark.django_db
def test_votes_on_another_key_s_request_are_one_vote() -> None:
    entry = CachedResponseFactory(tenant=RED)
    request = RequestRecordFactory(
        tenant=RED, api_key="aco_1", cache_key=entry.cache_key, created_at=entry.created_at
    )
    for _ in range(4):
        result = feedback_record(request_id=request.pk, rating=-1, tenant=RED, voter="aco_2")
    assert (result.votes, result.invalidated) == (1, False)


@given(st.dictionaries(st.tuples(kinds, st.sampled_from(["", RED, BLUE])), evidences))
def test_no_tenant_outweighs_the_others(rows: dict) -> None:  # type: ignore[type-arg]
    whole = combined(rows, limited=True)
    assert whole.keys() == {kind for kind, _ in rows}
    for kind, known in whole.items():
        others = sum(e.weight for (k, tenant), e in rows.items() if k == kind and tenant != RED)
        red = rows.get((kind, RED))
        assert known.weight <= max(others, 0) + max(ALONE, others) + 1e-6
        assert -1e-9 <= known.quality_sum <= known.weight + 1e-6
        if red is None:
            assert known.weight <= others + 1e-6


def test_the_level_of_a_kind_is_no_tenants_alone_however_many_models_it_rates() -> None:
    rows = {
        (("code", "simple", "claude", f"m{n}"), RED): Evidence(40, 30.0, 0.0, 24.0)
        for n in range(12)
    }
    whole = combined(rows, limited=True)
    assert sum(known.weight for known in whole.values()) == pytest.approx(ALONE)
    others = {
        (("code", "simple", "claude", f"m{n}"), BLUE): Evidence(10, 10.0, 8.0, 8.0)
        for n in range(3)
    }
    both = combined(rows | others, limited=True)
    mean = sum(e.quality_sum for e in both.values()) / sum(e.weight for e in both.values())
    assert mean >= 0.4 - 1e-6
