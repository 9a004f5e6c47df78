"""Budgets: held before, booked after, never passed, and no claim refused that would fit."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.db.models import Sum
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.access.keys import key_make, key_rotate
from analytics.alerts.raising import budget_alerts_raise
from analytics.budgets.claims import Charge, Claim, Cost, Payer
from analytics.budgets.holding import book, hold
from analytics.budgets.opening import budget_open
from analytics.budgets.periods import freed_at, window_at
from analytics.budgets.workers import DEAD_AFTER, holds_mark_lost, worker_heartbeat
from analytics.ledger.ledger import LedgerEntry, write_entries
from analytics.ledger.retention import prune
from analytics.models import (
    ApiKey,
    Budget,
    BudgetAccount,
    BudgetHold,
    BudgetMark,
    BudgetUsage,
    RequestRecord,
    Worker,
)
from tests.factories import BudgetFactory, RequestRecordFactory

NOON = datetime(2026, 5, 13, 12, 0, tzinfo=UTC)
ANN, BOB = Payer(user="ann"), Payer(user="bob")


def claim(
    amount: str | Decimal,
    *,
    payer: Payer = ANN,
    at: datetime = NOON,
    model: tuple[str, str] = ("claude", "small"),
    request_id: uuid.UUID | None = None,
    before: tuple[Charge, ...] = (),
) -> Claim:
    charges = (*before, Charge(*model, Decimal(amount)))
    known = request_id is not None
    return Claim(
        request_id or uuid.uuid4(), at, payer, charges, "/".join(model), "worker", first=not known
    )


def cost(claimed: Claim, amount: str | Decimal) -> Cost:
    """What came of ``claimed``, on its last model."""
    last = claimed.charges[-1]
    charge = Charge(last.provider, last.model, Decimal(amount))
    return Cost(claimed.request_id, claimed.at, claimed.payer, (charge,) if charge.amount else ())


def spent(**of: Any) -> Decimal:
    return BudgetUsage.objects.filter(**of).aggregate(all=Sum("spent"))["all"] or Decimal(0)


def held() -> Decimal:
    return BudgetHold.objects.aggregate(all=Sum("amount"))["all"] or Decimal(0)


# --- holding and booking ---------------------------------------------------------------


@pytest.mark.django_db
def test_what_is_held_leaves_less_for_others_until_it_is_booked() -> None:
    BudgetFactory(limit=Decimal("1"))
    first, second = claim("0.7"), claim("0.4")
    assert hold([first, second])[0] == ()
    [refusal] = hold([second])[0]
    assert refusal.available == Decimal("0.3")
    assert refusal.resets_at == datetime(2026, 5, 14, tzinfo=UTC)
    book([cost(first, "0.25")])
    assert hold([second]) == [()]
    assert spent() == Decimal("0.25")
    assert held() == Decimal("0.4")


@pytest.mark.django_db
def test_a_claim_is_held_from_every_budget_or_from_none() -> None:
    BudgetFactory(limit=Decimal("10"))
    BudgetFactory(limit=Decimal("1"), scope="user")
    assert hold([claim("0.9")]) == [()]
    assert len(hold([claim("0.9")])[0]) == 1
    assert held() == Decimal("1.8")
    assert hold([claim("0.9", payer=BOB)]) == [()]


@pytest.mark.django_db
def test_claims_that_come_together_are_weighed_one_after_the_other() -> None:
    BudgetFactory(limit=Decimal("1"))
    results = hold([claim("0.4") for _ in range(5)])
    assert [result == () for result in results] == [True, True, False, False, False]
    assert BudgetUsage.objects.get().refused == 3


@pytest.mark.django_db
def test_a_fallback_moves_what_is_held_to_its_own_provider() -> None:
    BudgetFactory(limit=Decimal("1"), scope="provider")
    first = claim("0.9")
    assert hold([first]) == [()]
    failed = Charge("claude", "small", Decimal("0.1"))
    moved = claim("0.5", model=("openai", "other"), request_id=first.request_id, before=(failed,))
    assert hold([moved]) == [()]
    by_subject = dict(BudgetHold.objects.values_list("account__subject", "amount"))
    assert by_subject == {"claude": Decimal("0.1"), "openai": Decimal("0.5")}
    assert hold([claim("0.9")]) == [()]


@pytest.mark.django_db
def test_a_refused_fallback_keeps_what_was_held_before() -> None:
    BudgetFactory(limit=Decimal("1"))
    first = claim("0.6")
    hold([first, claim("0.3")])
    assert hold([claim("0.8", request_id=first.request_id)])[0]
    assert held() == Decimal("0.9")


@pytest.mark.django_db
def test_a_request_that_cost_nothing_gives_everything_back() -> None:
    BudgetFactory(limit=Decimal("1"))
    failed = claim("0.7")
    hold([failed])
    book([cost(failed, "0")])
    assert (spent(), held()) == (0, 0)


@pytest.mark.django_db
def test_a_claim_above_the_limit_never_fits() -> None:
    BudgetFactory(limit=Decimal("1"))
    [refusal] = hold([claim("1.1")])[0]
    assert refusal.resets_at is None


@pytest.mark.django_db
def test_a_budget_of_one_holds_nobody_else() -> None:
    BudgetFactory(limit=Decimal("0.1"), scope="user", subject="ann")
    BudgetFactory(limit=Decimal("0.1"), scope="model", subject="claude/small")
    assert hold([claim("0.5")])[0]
    assert hold([claim("0.5", payer=BOB, model=("claude", "large"))]) == [()]
    assert hold([claim("0.5", payer=BOB)])[0]


@pytest.mark.django_db
def test_who_is_unknown_is_under_nobodys_budget() -> None:
    BudgetFactory(limit=Decimal("0.1"), scope="user")
    assert hold([claim("0.5", payer=Payer())]) == [()]


@pytest.mark.django_db
def test_a_budget_that_is_off_or_soft_counts_and_refuses_nothing() -> None:
    BudgetFactory(limit=Decimal("0.1"), enabled=False)
    BudgetFactory(limit=None, soft_limit=Decimal("0.1"))
    claimed = claim("0.5")
    assert hold([claimed]) == [()]
    book([cost(claimed, "0.5")])
    assert [usage.spent for usage in BudgetUsage.objects.all()] == [Decimal("0.5")] * 2


@pytest.mark.django_db
def test_a_replaced_key_goes_on_under_its_predecessors_budget() -> None:
    made = key_make(ApiKey(name="ann"))
    successor = key_rotate(made.key, timedelta(hours=1)).key
    third = key_rotate(successor, timedelta(hours=2)).key
    BudgetFactory(limit=Decimal("1"), scope="key", subject=successor.prefix)
    assert hold([claim("0.6", payer=Payer(key=made.key.prefix))]) == [()]
    assert hold([claim("0.6", payer=Payer(key=third.prefix))])[0]


AMOUNTS = st.decimals("0.01", "1.5", places=2)
MODELS = st.sampled_from([("claude", "small"), ("claude", "large"), ("gemini", "small")])
PAYERS = st.sampled_from([ANN, BOB, Payer(team="red", user="cas")])
MINUTES = st.integers(0, 4000)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("hold"), PAYERS, MODELS, AMOUNTS, MINUTES),
        st.tuples(st.just("grow"), st.integers(0, 30), MODELS, AMOUNTS),
        st.tuples(st.just("book"), st.integers(0, 30), st.sampled_from(["0", "0.3", "1"])),
    ),
    max_size=30,
)
PERIODS = st.sampled_from(["hour", "day", "week", "rolling"])


class Model:
    """The budgets as they are meant, in a few lines: every amount in one list."""

    def __init__(self, budgets: list[Budget]) -> None:
        self.budgets = budgets
        self.taken: dict[uuid.UUID, tuple[Claim, tuple[Charge, ...]]] = {}

    def fits(self, new: Claim) -> bool:
        others = [taken for key, taken in self.taken.items() if key != new.request_id]
        return all(
            self._used(budget, subject, new.at, others) + amount <= budget.limit
            for budget in self.budgets
            for subject, amount in self._shares(budget, new.payer, new.charges).items()
            if amount
        )

    def _used(self, budget: Budget, subject: str, at: datetime, others: Any) -> Decimal:
        window = window_at(budget, at)
        return sum(
            (
                self._shares(budget, taken.payer, charges).get(subject, Decimal(0))
                for taken, charges in others
                if window.counts(window_at(budget, taken.at).start)
            ),
            Decimal(0),
        )

    @staticmethod
    def _shares(budget: Budget, payer: Payer, charges: Any) -> dict[str, Decimal]:
        found: dict[str, Decimal] = {}
        for charge in charges:
            subject = {
                "everything": "",
                "user": payer.user,
                "team": payer.team,
                "provider": charge.provider,
                "model": f"{charge.provider}/{charge.model}",
            }[budget.scope]
            if subject or budget.scope == "everything":
                found[subject] = found.get(subject, Decimal(0)) + charge.amount
        return {s: a for s, a in found.items() if not budget.subject or s == budget.subject}


@pytest.mark.django_db
@given(steps=STEPS, period=PERIODS)
@settings(max_examples=60)
def test_a_claim_is_held_exactly_if_it_fits_and_no_limit_is_ever_passed(
    steps: list[Any], period: str
) -> None:
    Budget.objects.all().delete()
    rolling = {"period": period, "rolling_minutes": 600 if period == "rolling" else None}
    budgets = [
        BudgetFactory(limit=Decimal("3"), **rolling),
        BudgetFactory(limit=Decimal("2"), scope="user", **rolling),
        BudgetFactory(limit=Decimal("1.2"), scope="team", subject="red", **rolling),
        BudgetFactory(limit=Decimal("2.5"), scope="provider", **rolling),
        BudgetFactory(limit=Decimal("1"), scope="model", subject="claude/small", **rolling),
    ]
    model, made = Model(budgets), []
    for step in steps:
        if step[0] == "hold":
            _, payer, name, amount, minutes = step
            new = claim(amount, payer=payer, model=name, at=NOON + timedelta(minutes=minutes))
        elif not made:
            continue
        elif step[0] == "grow":
            _, which, name, amount = step
            old = made[which % len(made)]
            tried = old.charges[-1]._replace(amount=old.charges[-1].amount / 2)
            new = claim(
                amount, payer=old.payer, at=old.at, model=name,
                request_id=old.request_id, before=(*old.charges[:-1], tried),
            )  # fmt: skip
        else:
            _, which, share = step
            done = made.pop(which % len(made))
            real = cost(done, done.charges[-1].amount * Decimal(share))
            real = Cost(real.request_id, real.at, real.payer, done.charges[:-1] + real.charges)
            book([real])
            model.taken[done.request_id] = (done, real.charges)
            continue
        expected = model.fits(new)
        assert (hold([new]) == [()]) == expected
        if expected:
            made = [m for m in made if m.request_id != new.request_id] + [new]
            model.taken[new.request_id] = (new, new.charges)
    for account in BudgetAccount.objects.select_related("budget"):
        if period != "rolling":
            for usage in account.usage.all():
                assert usage.spent <= account.budget.limit
    for done in made:
        book([cost(done, "0")])
    assert held() == 0


# --- periods ---------------------------------------------------------------------------

ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "America/Sao_Paulo",
     "Asia/Beirut", "Pacific/Apia"]
)  # fmt: skip
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


@given(at=MOMENTS, zone=ZONES, period=st.sampled_from(["minute", "hour", "day", "week", "month"]))
def test_calendar_periods_follow_each_other_without_gap_or_overlap(
    at: datetime, zone: str, period: str
) -> None:
    budget = Budget(period=period, time_zone=zone)
    window = window_at(budget, at)
    assert window.start <= at < window.end
    assert window_at(budget, window.start) == window
    assert window_at(budget, window.end).start == window.end
    assert window_at(budget, window.end - timedelta(microseconds=1)) == window


@given(at=MOMENTS, zone=ZONES)
def test_days_weeks_and_months_begin_at_midnight_where_they_are_named(
    at: datetime, zone: str
) -> None:
    for period in ("day", "week", "month"):
        start = window_at(Budget(period=period, time_zone=zone), at).start
        # Midnight, or the first moment of a day that has none.
        assert start.astimezone(ZoneInfo(zone)).hour in (0, 1)
        assert start.astimezone(ZoneInfo(zone)).minute == 0


def test_a_month_begins_in_its_own_time_zone() -> None:
    budget = Budget(period="month", time_zone="Europe/Berlin")
    window = window_at(budget, datetime(2026, 6, 30, 22, 30, tzinfo=UTC))
    assert window.start == datetime(2026, 6, 30, 22, 0, tzinfo=UTC)
    assert window.end == datetime(2026, 7, 31, 22, 0, tzinfo=UTC)


@given(first=MOMENTS, later=st.integers(0, 10**9), minutes=st.integers(1, 50_000))
def test_a_rolling_window_takes_in_all_of_its_length_and_little_more(
    first: datetime, later: int, minutes: int
) -> None:
    budget = Budget(period="rolling", rolling_minutes=minutes)
    length, step = timedelta(minutes=minutes), timedelta(minutes=minutes) / 120
    second = first + timedelta(milliseconds=later) % (2 * length)
    counts = window_at(budget, second).counts(window_at(budget, first).start)
    if second - first <= length:
        assert counts
    if second - first >= length + step:
        assert not counts
    free = freed_at(budget, window_at(budget, first).start)
    assert not window_at(budget, free).counts(window_at(budget, first).start)


@pytest.mark.django_db
def test_a_rolling_budget_says_when_enough_is_free_again() -> None:
    budget = BudgetFactory(period="rolling", rolling_minutes=120, limit=Decimal("1"))
    early, late = claim("0.6", at=NOON), claim("0.4", at=NOON + timedelta(minutes=30))
    hold([early, late])
    book([cost(early, "0.6"), cost(late, "0.4")])
    now = NOON + timedelta(minutes=60)
    [refusal] = hold([claim("0.5", at=now)])[0]
    assert refusal.resets_at == NOON + timedelta(minutes=121)
    assert hold([claim("0.5", at=refusal.resets_at)]) == [()]
    assert hold([claim("0.5", at=refusal.resets_at - timedelta(seconds=1))])[0]
    assert window_at(budget, now).end == now + timedelta(minutes=1)


# --- opening, the ledger, workers ------------------------------------------------------


@pytest.fixture
def this_hour() -> Iterator[datetime]:
    return datetime.now(UTC)


@pytest.mark.django_db
def test_a_new_budget_begins_with_what_its_period_has_cost(this_hour: datetime) -> None:
    RequestRecordFactory(user_id="ann", cost=Decimal("0.3"))
    RequestRecordFactory(
        user_id="bob",
        cost=Decimal("0.5"),
        failed_cost=Decimal("0.2"),
        attempts=[{"provider": "gemini", "model": "g", "cost": "0.2"}],
    )
    RequestRecordFactory(user_id="ann", cost=Decimal("9"), created_at=this_hour - timedelta(40))
    RequestRecordFactory(user_id="ann", cost=Decimal("9"), replayed=True)
    for scope in ("user", "provider"):
        budget_open(Budget(name=scope, scope=scope, period="rolling", rolling_minutes=1440,
                           limit=Decimal("2")))  # fmt: skip
    found = BudgetUsage.objects.values_list("account__subject", "spent")
    assert dict(found) == {
        "ann": Decimal("0.3"),
        "bob": Decimal("0.5"),
        "claude": Decimal("0.6"),
        "gemini": Decimal("0.2"),
    }


@pytest.mark.django_db
def test_the_ledger_books_what_a_request_cost_model_by_model() -> None:
    BudgetFactory(scope="provider", limit=Decimal("9"))
    BudgetFactory(limit=Decimal("9"))
    record = RequestRecordFactory.build(
        cost=Decimal("0.5"),
        failed_cost=Decimal("0.2"),
        attempts=[{"provider": "gemini", "model": "g", "cost": Decimal("0.2")}],
    )
    hold([claim("0.9", request_id=record.pk, at=record.created_at)])
    hit = RequestRecordFactory.build(cost=Decimal(0), cache_hit=True)
    replayed = RequestRecordFactory.build(replayed=True)
    write_entries([LedgerEntry(record), LedgerEntry(hit), LedgerEntry(replayed)])
    found = BudgetUsage.objects.values_list("account__subject", "spent", "requests")
    assert sorted(found) == [
        ("", Decimal("0.5"), 1),
        ("claude", Decimal("0.3"), 1),
        ("gemini", Decimal("0.2"), 1),
    ]
    assert held() == 0
    assert RequestRecord.objects.count() == 3


@pytest.mark.django_db
def test_what_a_dead_worker_held_is_marked_and_stays_counted() -> None:
    BudgetFactory(limit=Decimal("1"))
    lost, late = claim("0.6"), claim("0.3")
    hold([lost, late])
    worker_heartbeat("worker")
    long_ago = datetime.now(UTC) - 2 * DEAD_AFTER
    BudgetHold.objects.update(made_at=long_ago)
    assert holds_mark_lost() == 0
    Worker.objects.update(seen_at=long_ago)
    assert holds_mark_lost() == 2
    assert hold([claim("0.2")])[0]
    # It was only slow: what it held is given back when it books after all.
    book([cost(late, "0.1")])
    assert BudgetHold.objects.get().request_id == lost.request_id
    assert hold([claim("0.3")]) == [()]


@pytest.mark.django_db
def test_a_soft_limit_is_told_of_once_a_period() -> None:
    BudgetFactory(name="Red", scope="team", limit=Decimal(9), soft_limit=Decimal("0.5"))
    payer = Payer(team="red")
    for amount in ("0.4", "0.2", "0.3"):
        book([cost(claim(amount, payer=payer), amount)])
        [*alerts] = budget_alerts_raise()
        assert bool(alerts) == (amount == "0.2")
    book([cost(claim("0.6", payer=payer, at=NOON + timedelta(days=1)), "0.6")])
    [alert] = budget_alerts_raise()
    assert alert.text.startswith("Red of red: the soft limit of $0.500000 a day is passed")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"limit": None}, "limit"),
        ({"soft_limit": Decimal(2)}, "soft_limit"),
        ({"time_zone": "Europe/Nowhere"}, "time_zone"),
        ({"period": "rolling"}, "rolling_minutes"),
        ({"rolling_minutes": 5}, "rolling_minutes"),
        ({"subject": "ann"}, "subject"),
        ({"scope": "model", "subject": "small"}, "subject"),
        ({"limit": Decimal(-1)}, "limit"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        budget_open(Budget(**{"name": "x", "period": "day", "limit": Decimal(1), **wrong}))
    assert field in refused.value.message_dict
    assert not Budget.objects.exists()


@pytest.mark.django_db
def test_pruning_forgets_what_bears_on_no_budget_and_no_burn_down_any_more() -> None:
    now = datetime.now(UTC)
    budgets = [
        BudgetFactory(period="minute"),
        BudgetFactory(period="rolling", rolling_minutes=60 * 24 * 30),
    ]
    for days in (0, 10, 40, 70):
        payer = Payer(user="ann")
        charges = (Charge("claude", "small", Decimal("0.1")),)
        book([Cost(uuid.uuid4(), now - timedelta(days=days), payer, charges)])
    for usage in BudgetUsage.objects.filter(account__budget=budgets[0]):
        BudgetMark.objects.create(
            account=usage.account, start=usage.start, at=usage.start, spent=usage.spent
        )
    for _ in prune(before=now - timedelta(days=5)):
        pass
    assert BudgetMark.objects.count() == 1
    left = {budget: BudgetUsage.objects.filter(account__budget=budget) for budget in budgets}
    assert [usage.count() for usage in left.values()] == [1, 3]
