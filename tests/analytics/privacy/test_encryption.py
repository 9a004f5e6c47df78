"""Encryption at rest: what lies on the disk is not what was asked or answered."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import analytics.ledger.ledger as ledger_module
from analytics.database.bulk_write import RowWriter
from analytics.encryption import UNREADABLE, decrypt, encrypt
from analytics.models import CachedResponse, RequestRecord
from optimizer.wiring.build import get_services
from optimizer.wiring.installation.folders import journal
from tests.factories import CachedResponseFactory, RequestRecordFactory

FIRST, SECOND = Fernet.generate_key().decode(), Fernet.generate_key().decode()
SECRET = "My number is 4111 1111"


@pytest.fixture
def key(settings: Any) -> str:
    settings.ENCRYPTION_KEYS = [FIRST]
    return FIRST


def stored() -> str:
    """All that the two tables really hold."""
    found = []
    with connection.cursor() as cursor:
        for table in ("requests", "response_cache"):
            cursor.execute(f"SELECT * FROM {table}")
            found += cursor.fetchall()
    return json.dumps(found, default=str)


@given(text=st.text())
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_encrypted_is_read_again(key: str, text: str) -> None:
    hidden = encrypt(text)
    assert decrypt(hidden) == text
    assert (hidden == text) == (text == "")


@pytest.mark.django_db
def test_prompts_and_answers_are_hidden_in_the_tables(key: str) -> None:
    RequestRecordFactory(prompt=SECRET)
    entry = CachedResponseFactory(prompt=SECRET, response=SECRET, answer={"text": SECRET, "n": 1})
    assert SECRET not in stored()
    assert RequestRecord.objects.get().prompt == SECRET
    entry.refresh_from_db()
    assert (entry.prompt, entry.response) == (SECRET, SECRET)
    assert entry.answer == {"text": SECRET, "n": 1}
    assert CachedResponse.objects.values_list("prompt", flat=True).get() == SECRET


@pytest.mark.django_db
def test_what_was_stored_before_there_was_a_key_is_still_read(settings: Any) -> None:
    RequestRecordFactory(prompt=SECRET)
    CachedResponseFactory(answer={"text": SECRET})
    settings.ENCRYPTION_KEYS = [FIRST]
    assert RequestRecord.objects.get().prompt == SECRET
    assert CachedResponse.objects.get().answer == {"text": SECRET}


@pytest.mark.django_db
def test_keys_are_replaced_without_losing_anything(settings: Any) -> None:
    RequestRecordFactory(prompt=SECRET)
    CachedResponseFactory(prompt="", response='{"text": "JSON"}', answer={"text": SECRET})
    for keys in ([FIRST], [SECOND, FIRST]):
        settings.ENCRYPTION_KEYS = keys
        out = io.StringIO()
        call_command("reencrypt", stdout=out, stderr=io.StringIO(), batch_size=1)
        assert out.getvalue() == "2 of 2 rows were re-encrypted.\n"
        again = io.StringIO()
        call_command("reencrypt", stdout=again, stderr=io.StringIO())
        assert again.getvalue() == "0 of 2 rows were re-encrypted.\n"
    settings.ENCRYPTION_KEYS = [SECOND]
    assert RequestRecord.objects.get().prompt == SECRET
    entry = CachedResponse.objects.get()
    assert (entry.response, entry.answer) == ('{"text": "JSON"}', {"text": SECRET})
    assert SECRET not in stored()


@pytest.mark.django_db
def test_what_no_key_reads_stays_as_it_is(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [FIRST]
    RequestRecordFactory(prompt=SECRET)
    settings.ENCRYPTION_KEYS = [SECOND]
    assert RequestRecord.objects.get().prompt == UNREADABLE
    call_command("reencrypt", stdout=io.StringIO(), stderr=io.StringIO())
    settings.ENCRYPTION_KEYS = [FIRST]
    assert RequestRecord.objects.get().prompt == SECRET


def test_the_command_makes_a_key_and_says_what_is_missing(settings: Any) -> None:
    out = io.StringIO()
    call_command("reencrypt", "--new-key", stdout=out)
    assert Fernet(out.getvalue().strip())
    with pytest.raises(CommandError, match="ENCRYPTION_KEY is not set"):
        call_command("reencrypt")
    settings.ENCRYPTION_KEYS = ["too short"]
    with pytest.raises(ImproperlyConfigured, match="reencrypt --new-key"):
        encrypt("x")


async def test_an_answer_goes_out_and_comes_from_the_cache_as_ever(
    key: str, client: httpx.AsyncClient, settings: Any
) -> None:
    body = {"prompt": SECRET}
    first = (await client.post("/complete", json=body)).json()
    again = (await client.post("/complete", json=body)).json()
    assert again["cache_hit"]
    assert again["response"] == first["response"]
    rows = await sync_to_async(stored)()
    assert SECRET not in rows
    assert first["response"] not in rows
    # With another key the answer cannot be read: it is asked for anew, never handed out as it is.
    settings.ENCRYPTION_KEYS = [SECOND]
    third = (await client.post("/complete", json=body)).json()
    assert (third["cache_hit"], third["response"]) == (False, first["response"])


async def test_the_journal_on_the_disk_is_encrypted_too(
    key: str, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(entries: object) -> None:
        raise OperationalError("locked")

    with monkeypatch.context() as broken:
        broken.setattr(ledger_module, "write_entries", locked)
        answer = (await client.post("/complete", json={"prompt": SECRET})).json()
    (waiting,) = journal().pending()
    text = await sync_to_async(Path(waiting).read_text)()
    assert SECRET not in text
    assert answer["response"] not in text
    ledger = get_services().ledger
    ledger.database.reset()
    await ledger.catch_up()
    assert (await RequestRecord.objects.aget()).prompt == SECRET
    assert SECRET not in await sync_to_async(stored)()


@pytest.mark.django_db
def test_text_that_looks_encrypted_is_stored_as_it_stands() -> None:
    """A client cannot have its text decrypted by writing the mark before it."""
    record = RequestRecordFactory.build(prompt="fernet:v1:not by us")
    RowWriter(RequestRecord).write([record])
    with connection.cursor() as cursor:
        cursor.execute("SELECT prompt FROM requests")
        assert cursor.fetchone() == ("fernet:v1:not by us",)
