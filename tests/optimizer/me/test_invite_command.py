"""manage.py invite: a developer, keys that are handed over, and a link that works."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.test import Client

from analytics.access.keys import key_make, key_rotate
from analytics.models import ApiKey, Developer, Invitation, KeyTemplate

pytestmark = pytest.mark.django_db


def invite(*arguments: str) -> str:
    out = io.StringIO()
    call_command("invite", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue().strip()


def test_it_adds_a_developer_and_prints_a_link_that_opens() -> None:
    template = KeyTemplate.objects.create(name="red")
    link = invite("ann", "--template", "red", "--url", "https://ai.example.com/", "--days", "2")
    address, _, path = link.partition("/me/")
    assert address == "https://ai.example.com"
    assert Client().get(f"/me/{path}").status_code == 200
    assert Developer.objects.get().template == template
    left = Invitation.objects.get().expires_at - datetime.now(UTC)
    assert timedelta(days=1) < left <= timedelta(days=2)
    assert path.split("/")[1] not in str(list(LogEntry.objects.values_list("change_message")))


def test_keys_are_handed_over_with_those_that_they_replaced() -> None:
    old = key_make(ApiKey(name="laptop")).key
    key_rotate(old, timedelta(hours=1))
    key_make(ApiKey(name="other"))
    invite("ann", "--key", "laptop")
    ann = Developer.objects.get()
    assert ApiKey.objects.filter(developer=ann, origin=old.prefix).count() == 2
    assert ApiKey.objects.filter(developer=None).count() == 1


def test_again_it_changes_the_template_and_ends_the_link_before() -> None:
    first = invite("ann")
    KeyTemplate.objects.create(name="red")
    assert invite("ann", "--template", "red") != first
    assert str(Developer.objects.get().template) == "red"
    assert Client().get("/me/" + first.partition("/me/")[2]).status_code == 404


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("ann", "--template", "none"), "no template 'none'"),
        (("ann", "--key", "none"), "no key 'none'"),
        (("ann", "--days", "0"), "at least 1"),
        (("a" * 65,), "name"),
        (("sso:1",), "sso:"),
    ],
)
def test_what_cannot_be_changes_nothing(arguments: tuple[str, ...], error: str) -> None:
    with pytest.raises(CommandError, match=error):
        invite(*arguments)
    assert not Developer.objects.exists()
