"""Moves of sessions that go round in circles are judged, and decide about further moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.access.keys import key_make
from analytics.ledger.ledger import LedgerEntry, write_entries
from analytics.ledger.session_states import SessionTurn, StallSeen
from analytics.ledger.sessions import SessionKey
from analytics.models import ApiKey, RequestRecord, SessionStall, Team
from analytics.quality.session_moves import (
    MOST_CALLS,
    MoveFigures,
    helps,
    move_figures,
    moves_learned,
    stalls_judge,
)
from analytics.reports.report import routing_report
from analytics.reports.report_formats import headline
from routing.models import ModelRef
from tests.factories import FeedbackFactory, RequestRecordFactory, RoutingMetricFactory

D = Decimal
SMALL, BIG = "claude/small", "claude/big"
START = datetime.now(UTC) - timedelta(hours=3)


def call(minute: float, session: str = "s", **fields: Any) -> RequestRecord:
    repeated = fields.pop("repeated", 0)
    stall = fields.pop("stall", None)
    request = RequestRecordFactory.build(**{
        "session_id": session, "agent": "codex", "turn": "tool_result", "cost": D("0.03"),
        "created_at": START + timedelta(minutes=minute), "tools_called": ["Bash"], **fields,
    })  # fmt: skip
    metadata = {"repeated": repeated} if repeated else {}
    decision = RoutingMetricFactory.build(request=request, metadata=metadata)
    turn = None
    if stall is not None:
        seen = StallSeen(request.pk, "codex", SMALL, *stall)
        at = request.created_at
        turn = SessionTurn(
            SessionKey("", session), at, "claude", "x", "simple", "", 0, None, False, seen
        )
    write_entries([LedgerEntry(request, decision, session_state=turn)])
    return request


def price_of(request: RequestRecord, ref: ModelRef) -> Decimal | None:
    return D("0.01") if ref == ModelRef.parse(SMALL) else None


def judged(session: str = "s") -> SessionStall:
    stalls_judge(price_of)
    return SessionStall.objects.get(session_id=session)


@pytest.mark.django_db
class TestJudging:
    def test_an_agent_that_goes_on_to_an_answer_has_progressed(self) -> None:
        call(0, repeated=3, stall=(BIG, False))
        call(1, repeated=4)
        call(2)
        call(3, tools_called=None)
        stall = judged()
        assert (stall.progressed, stall.calls, stall.repeated) == (True, 4, 1)
        assert stall.extra_cost == 4 * D("0.02")

    def test_one_that_keeps_repeating_has_not(self) -> None:
        for minute in range(MOST_CALLS + 5):
            call(minute, repeated=3 + minute, stall=(BIG, False) if minute == 0 else None)
        stall = judged()
        assert (stall.progressed, stall.calls) == (False, MOST_CALLS)

    def test_what_comes_after_a_persons_words_is_not_weighed(self) -> None:
        call(0, repeated=3, stall=("", True))
        call(1, tools_called=None)
        call(2, turn="human")
        call(3, repeated=5)
        stall = judged()
        assert (stall.progressed, stall.calls, stall.extra_cost) == (True, 2, None)

    def test_side_requests_and_sub_agents_are_not_weighed(self) -> None:
        call(0, repeated=3, stall=(BIG, False))
        call(1, turn="title", repeated=3)
        call(2, sub_agent="a", repeated=3)
        call(3)
        call(4, tools_called=None)
        assert (judged().progressed, judged().calls) == (True, 3)

    def test_a_session_that_broke_off_says_nothing(self) -> None:
        call(0, repeated=3, stall=(BIG, False))
        call(1)
        stall = judged()
        assert stall.judged_at is not None
        assert stall.progressed is None

    def test_a_session_that_goes_on_is_judged_later(self) -> None:
        now = (datetime.now(UTC) - START).total_seconds() / 60
        call(now - 2, repeated=3, stall=(BIG, False))
        call(now - 1)
        assert judged().judged_at is None
        stalls_judge(price_of, datetime.now(UTC) + timedelta(hours=2))
        assert SessionStall.objects.get().judged_at is not None

    def test_a_poor_rating_speaks_against_it(self) -> None:
        call(0, repeated=3, stall=(BIG, False))
        call(1)
        last = call(2, tools_called=None)
        FeedbackFactory(request=last, score=0.1)
        stall = judged()
        assert (stall.progressed, stall.rating) == (False, 0.1)

    def test_only_the_first_stall_of_a_session_counts(self) -> None:
        first = call(0, repeated=3, stall=(BIG, False))
        call(1, repeated=4, stall=("", False))
        assert SessionStall.objects.get().request_id == first.pk


SHARES = st.integers(0, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


class TestLearning:
    def test_few_moves_leave_the_question_open(self) -> None:
        assert helps(MoveFigures(9, 0), MoveFigures(50, 50))
        assert helps(MoveFigures(50, 0), MoveFigures(4, 4))

    def test_moves_go_on_while_they_may_help(self) -> None:
        assert helps(MoveFigures(20, 15), MoveFigures(8, 2))
        assert helps(MoveFigures(12, 6), MoveFigures(6, 3)), "no difference is not shown"
        assert not helps(MoveFigures(20, 2), MoveFigures(8, 6))

    @given(SHARES, SHARES)
    def test_more_progress_never_speaks_against_a_move(
        self, moved: tuple[int, int], stayed: tuple[int, int]
    ) -> None:
        n, k = moved
        other = MoveFigures(*stayed)
        if k < n and helps(MoveFigures(n, k), other):
            assert helps(MoveFigures(n, k + 1), other)

    @pytest.mark.django_db
    def test_a_pair_whose_moves_do_not_help_is_moved_to_no_more(self) -> None:
        for number in range(26):
            held_back = number % 3 == 0
            SessionStall.objects.create(
                session_id=str(number), request_id=RequestRecordFactory().pk, model=SMALL,
                at=datetime.now(UTC), moved_to="" if held_back else BIG, held_back=held_back,
                judged_at=datetime.now(UTC), progressed=held_back, extra_cost=D("0.5"),
            )  # fmt: skip
        learned = moves_learned()
        assert learned.unhelpful(ModelRef.parse(SMALL)) == {ModelRef.parse(BIG)}
        assert learned.unhelpful(ModelRef.parse(BIG)) == frozenset()
        SessionStall.objects.update(at=datetime.now(UTC) - timedelta(days=91))
        assert moves_learned().unhelpful(ModelRef.parse(SMALL)) == frozenset()


@pytest.mark.django_db
@pytest.mark.parametrize("others", [0, 1])
def test_one_tenants_loops_do_not_decide_for_all(others: int) -> None:
    for name in ["busy", *["other"] * others]:
        key_make(ApiKey(name=name, team=Team.objects.create(name=name)))
    for number in range(60):
        held_back = number % 3 == 0
        SessionStall.objects.create(
            session_id=str(number), tenant="team:busy", request_id=uuid4(), model=SMALL,
            at=datetime.now(UTC), moved_to="" if held_back else BIG, held_back=held_back,
            judged_at=datetime.now(UTC), progressed=held_back,
        )  # fmt: skip
    unhelpful = moves_learned().unhelpful(ModelRef.parse(SMALL))
    assert unhelpful == (frozenset() if others else {ModelRef.parse(BIG)})


@pytest.mark.django_db
def test_the_report_says_what_came_of_moves() -> None:
    call(0, "moved", repeated=3, stall=(BIG, False))
    call(1, "moved", tools_called=None)
    call(0, "stayed", repeated=3, stall=("", True))
    call(1, "stayed", tools_called=None, repeated=4)
    call(0, "other", repeated=3, stall=("", False))
    stalls_judge(price_of)
    figures = move_figures(START - timedelta(hours=1))
    assert (figures["moved"], figures["moved_progressed"]) == (1, 1)
    assert (figures["stayed_by_lot"], figures["stayed"]) == (1, 1)
    assert figures["extra_cost"] == D("0.04")
    lines = dict(headline(routing_report(1)))
    assert lines["Circling sessions moved up"] == "1: 1 of 1 judged went on"
    assert lines["  what the moves cost"] == "$0.040000"
