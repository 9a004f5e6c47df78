"""Keys that developers make for themselves stay within the template."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from analytics.access.developers import developer_add, developer_join, keys_assign
from analytics.access.key_budgets import developer_template_set, template_apply
from analytics.access.keys import (
    KeyRevoked,
    key_change,
    key_make,
    key_revoke,
    key_rotate,
    keys_version,
)
from analytics.access.own_keys import (
    OwnKeyError,
    keys_left,
    own_key_make,
    own_key_revoke,
    own_key_rotate,
    own_keys,
)
from analytics.access.versioned_rows import save_versioned
from analytics.models import ApiKey, Budget, Developer, KeyTemplate, Team

pytestmark = pytest.mark.django_db


def developer(name: str = "ann", **template: Any) -> Developer:
    values = {
        "name": f"of {name}"[:60],
        "budget": Decimal(5),
        "days": 30,
        "most_keys": 2,
        **template,
    }
    return developer_add(Developer(name=name, template=KeyTemplate.objects.create(**values)))


def changed(one: Developer, **template: Any) -> None:
    KeyTemplate.objects.filter(pk=one.template_id).update(**template)


def test_a_key_is_made_by_the_template_with_its_budget() -> None:
    red = Team.objects.create(name="red")
    ann = developer(team=red, model_names=["claude/*"], requests_per_minute=9)
    key = own_key_make(ann, label=" my  laptop ").key
    assert (key.name, key.user, key.team) == ("ann: my laptop", "ann", red)
    assert (key.model_names, key.requests_per_minute) == (["claude/*"], 9)
    assert key.scopes == ["complete", "feedback"]
    assert key.expires_at is not None
    assert abs(key.expires_at - datetime.now(UTC) - timedelta(days=30)) < timedelta(minutes=1)
    budget = Budget.objects.get()
    assert (budget.scope, budget.subject, budget.period, budget.limit) == ("user", "ann", "day", 5)


@pytest.mark.parametrize(("asked", "given"), [(3, 3), (30, 30), (31, 30), (36_500, 30), (None, 30)])
def test_no_key_is_valid_for_longer(asked: int | None, given: int) -> None:
    key = own_key_make(developer(), label="x", days=asked).key
    assert key.expires_at is not None
    assert (key.expires_at - datetime.now(UTC) + timedelta(minutes=1)).days == given


@pytest.mark.parametrize("label", ["", "  ", "x" * 25, "a\x00b", "a\u202eb"])
def test_a_name_must_be_one(label: str) -> None:
    with pytest.raises(OwnKeyError, match="name"):
        own_key_make(developer(), label=label)


def test_there_are_no_more_keys_than_it_says() -> None:
    ann = developer()
    one = own_key_make(ann, label="one").key
    own_key_make(ann, label="two")
    assert keys_left(ann) == 0
    with pytest.raises(OwnKeyError, match="revoke one"):
        own_key_make(ann, label="three")
    own_key_revoke(ann, one.pk)
    assert own_key_make(ann, label="three").key.name == "ann: three"
    with pytest.raises(OwnKeyError, match="no valid key"):
        own_key_revoke(ann, one.pk)


def test_replacing_makes_no_more_of_them() -> None:
    ann = developer(most_keys=1)
    first = own_key_make(ann, label="one").key
    second = own_key_rotate(ann, first.pk).key
    assert (second.name, second.origin) == ("ann: one", first.prefix)
    for key in (first, second):
        with pytest.raises(OwnKeyError, match="still valid"):
            own_key_rotate(ann, key.pk)
    with pytest.raises(OwnKeyError, match="revoke one"):
        own_key_make(ann, label="two")
    first.refresh_from_db()
    assert first.expires_at is not None
    assert first.expires_at < datetime.now(UTC) + timedelta(hours=25)
    own_key_revoke(ann, first.pk)
    third = own_key_rotate(ann, second.pk).key
    assert [key.pk for key in own_keys(ann)][:2] == [third.pk, second.pk]


def test_the_longest_name_can_be_replaced_again_and_again() -> None:
    ann = developer("a" * 64)
    key = own_key_make(ann, label="b" * 24).key
    for _ in range(3):
        successor = own_key_rotate(ann, key.pk).key
        own_key_revoke(ann, key.pk)
        key = successor


def test_new_keys_bring_no_new_money() -> None:
    ann = developer()
    own_key_revoke(ann, own_key_make(ann, label="one").key.pk)
    own_key_make(ann, label="two")
    assert Budget.objects.count() == 1


@pytest.mark.parametrize("end", [{"enabled": False}, {"until": datetime(2026, 1, 1, tzinfo=UTC)}])
def test_a_template_that_has_ended_makes_and_replaces_none(end: dict[str, Any]) -> None:
    ann = developer()
    key = own_key_make(ann, label="one").key
    changed(ann, **end)
    ann.refresh_from_db()
    assert keys_left(ann) == 0
    with pytest.raises(OwnKeyError, match="any more"):
        own_key_make(ann, label="two")
    with pytest.raises(OwnKeyError, match="any more"):
        own_key_rotate(ann, key.pk)
    own_key_revoke(ann, key.pk)


def test_what_the_page_read_before_does_not_count() -> None:
    ann = developer()
    changed(ann, enabled=False)
    with pytest.raises(OwnKeyError):
        own_key_make(ann, label="one")  # with the object that was read before
    Developer.objects.update(disabled_at=datetime.now(UTC))
    with pytest.raises(OwnKeyError, match="access has ended"):
        own_key_make(ann, label="one")


def test_a_replaced_key_gets_what_the_template_says_now() -> None:
    ann = developer(model_names=["*"])
    key = own_key_make(ann, label="one").key
    changed(ann, model_names=["claude/*"], days=2)
    successor = own_key_rotate(ann, key.pk).key
    assert successor.model_names == ["claude/*"]
    assert successor.expires_at is not None
    assert successor.expires_at < datetime.now(UTC) + timedelta(days=3)


def test_an_operator_s_key_keeps_its_rights_and_its_end() -> None:
    ann = developer(model_names=["claude/*"])
    ends = datetime.now(UTC) + timedelta(days=5)
    given = key_make(ApiKey(name="given", scopes=["complete", "read"], expires_at=ends)).key
    with pytest.raises(OwnKeyError, match="no valid key"):
        own_key_rotate(ann, given.pk)
    keys_assign(ann, given)
    given.refresh_from_db()
    successor = own_key_rotate(ann, given.pk).key
    assert (successor.expires_at, successor.scopes) == (ends, ["complete", "read"])
    assert (successor.developer, successor.template) == (ann, None)


def test_a_changed_template_changes_the_budget() -> None:
    ann = developer()
    own_key_make(ann, label="one")
    first = Budget.objects.get()
    changed(ann, budget=Decimal(2))
    template_apply(KeyTemplate.objects.get())
    first.refresh_from_db()
    assert (first.limit, first.enabled) == (2, True)
    changed(ann, period="month")
    template_apply(KeyTemplate.objects.get())
    by_period = {budget.period: budget.enabled for budget in Budget.objects.all()}
    assert by_period == {"day": False, "month": True}
    changed(ann, budget=None)
    template_apply(KeyTemplate.objects.get())
    assert not Budget.objects.filter(enabled=True).exists()
    changed(ann, budget=Decimal(1), period="day")
    template_apply(KeyTemplate.objects.get())
    assert [(one.period, one.limit) for one in Budget.objects.filter(enabled=True)] == [("day", 1)]


def test_another_template_brings_its_budget_to_the_keys_there_are() -> None:
    ann = developer(budget=None)
    own_key_make(ann, label="one")
    assert not Budget.objects.exists()
    developer_template_set(ann, KeyTemplate.objects.create(name="more", budget=Decimal(3)))
    assert Budget.objects.get().limit == 3


def test_a_name_of_single_sign_on_is_never_another_s(django_user_model: Any) -> None:
    def account(sub: str) -> Any:
        return django_user_model.objects.create_user(f"sso:{sub}")

    expected = developer_add(Developer(name="eve@example.com"))
    assert developer_join(account=account("1"), name="eve@example.com") == expected
    for sub, name in (("2", "eve@example.com"), ("3", ""), ("4", "x" * 65), ("5", "a\x00b")):
        assert developer_join(account=account(sub), name=name).name == f"sso:{sub}"
    again = developer_join(account=django_user_model.objects.get(username="sso:1"), name="other")
    assert again == expected
    long = developer_join(account=account("s" * 100), name="")
    assert len(long.name) <= 64
    save_versioned(key_make(ApiKey(name="k", user=long.name)).key)


def test_a_key_that_is_revoked_meanwhile_is_neither_replaced_nor_valid_again() -> None:
    read_before = key_make(ApiKey(name="k")).key
    key_revoke(ApiKey.objects.get(name="k"))

    with pytest.raises(KeyRevoked):
        key_rotate(read_before, timedelta(hours=1))
    read_before.requests_per_minute = 5
    key_change(read_before)

    stored = ApiKey.objects.get(name="k")
    assert (stored.revoked_at is None, stored.requests_per_minute) == (False, 5)
    assert ApiKey.objects.count() == 1


def test_a_revocation_by_a_clock_that_is_behind_is_noticed() -> None:
    ahead = key_make(ApiKey(name="a")).key
    ApiKey.objects.filter(pk=ahead.pk).update(changed_at=timezone.now() + timedelta(minutes=1))
    other = key_make(ApiKey(name="b")).key
    before = keys_version()

    key_revoke(other)

    assert keys_version() != before
