"""The admin's lists of requests that are answered later, and of their batches."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from analytics.access.roles import roles_make
from analytics.models import DeferredRequest, ProviderBatch

PLACE = "/admin/analytics/"


@pytest.fixture
def batch(db: None) -> ProviderBatch:
    made = ProviderBatch.objects.create(
        provider="openai", model="gpt-6-luna", state="running", object_id="batch_7",
        requests_count=2,
    )  # fmt: skip
    common = {
        "deadline_at": timezone.now() + timedelta(hours=6), "path": "/v1/chat/completions",
        "provider": "openai", "model": "gpt-6-luna", "request": "{}", "batch": made,
    }  # fmt: skip
    DeferredRequest.objects.create(id=uuid4(), state="in_batch", **common)
    DeferredRequest.objects.create(
        id=uuid4(), state="done", cost=Decimal("0.5"), list_cost=Decimal(1), answer="secret words",
        **common,
    )  # fmt: skip
    return made


def signed_in(role: str) -> Client:
    roles_make()
    user = User.objects.create_user(role, password="pw", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def test_batches_have_their_sums_and_requests_show_no_words(batch: ProviderBatch) -> None:
    client = signed_in("viewer")
    page = client.get(f"{PLACE}providerbatch/").content.decode()
    assert "batch_7" in page
    assert "$0.50" in page
    requests = client.get(f"{PLACE}deferredrequest/").content.decode()
    assert "in a batch" in requests
    done = DeferredRequest.objects.get(state="done")
    one = client.get(f"{PLACE}deferredrequest/{done.pk}/change/").content.decode()
    assert "secret words" not in one


@pytest.mark.parametrize(("role", "left"), [("viewer", 1), ("operator", 0)])
def test_operators_cancel_batches(batch: ProviderBatch, role: str, left: int) -> None:
    client = signed_in(role)
    body = {"action": "cancel_selected", "_selected_action": str(batch.pk)}
    client.post(f"{PLACE}providerbatch/", body)
    assert DeferredRequest.objects.filter(state="in_batch").count() == left


def test_the_command_lists_and_cancels(
    batch: ProviderBatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("batches", "--last", "5")
    text = capsys.readouterr().out
    assert "1 in_batch" in text
    call_command("batches", "--cancel-all")
    assert "Requests cancelled: 1." in capsys.readouterr().out
    assert DeferredRequest.objects.get(state="cancelled").error_code == "cancelled"


def test_a_request_is_looked_up_by_the_id_that_its_client_has(batch: ProviderBatch) -> None:
    client = signed_in("viewer")
    done = DeferredRequest.objects.get(state="done")
    for term, count in ((str(done.pk), 1), (f" {done.pk.hex}", 1), ("nonsense", 0), ("", 2)):
        page = client.get(f"{PLACE}deferredrequest/", {"q": term})
        assert page.context["cl"].result_count == count


def test_the_command_shows_no_table_without_batches(
    db: None, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("batches")
    text = capsys.readouterr().out.splitlines()
    assert text == ["Requests: none", "No batch has been sent yet."]
