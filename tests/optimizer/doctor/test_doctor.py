"""manage.py doctor says what is wrong, and how to mend it."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError

from analytics.access.keys import key_make
from analytics.ledger.journal import Journal
from analytics.models import ApiKey
from optimizer.doctor import system_checks
from optimizer.doctor.findings import Finding
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import KEY

pytestmark = pytest.mark.django_db


def looked_over(*args: str) -> tuple[dict[str, list[dict[str, str]]], int]:
    """What was found, by what it is about, and the exit status."""
    out, status = io.StringIO(), 0
    try:
        call_command("doctor", "--json", *args, stdout=out)
    except SystemExit as error:
        status = int(str(error.code))
    found: dict[str, list[dict[str, str]]] = {}
    for finding in json.loads(out.getvalue())["findings"]:
        found.setdefault(finding["about"], []).append(finding)
    return found, status


def levels(found: list[dict[str, str]]) -> list[str]:
    return [finding["level"] for finding in found]


def test_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    key_make(ApiKey(name="one"))
    found, status = looked_over()
    assert status == 0
    for about in ("disk", "journal", "database", "migrations", "shared cache", "clock",
                  "providers", "API keys"):  # fmt: skip
        assert set(levels(found[about])) == {"ok"}, found[about]
    assert "claude" in found["providers"][0]["words"]
    assert KEY not in json.dumps(found)


def test_a_cloud_without_its_library_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDROCK_REGION", "eu-west-1")
    monkeypatch.setattr("providers.registry.is_installed", lambda package: package != "botocore")
    found, status = looked_over()
    assert status == 1
    (finding,) = found["provider bedrock"]
    assert "botocore" in finding["words"]
    assert "requirements/locked/clouds.txt" in finding["cure"]


def test_no_provider_is_wrong_and_the_cure_names_what_to_set() -> None:
    found, status = looked_over()
    assert status == 1
    assert levels(found["providers"]) == ["wrong"]
    assert "ANTHROPIC_API_KEY" in found["providers"][0]["cure"]


def test_what_hides_a_mistake_is_told(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DEBUG, settings.WORKERS, settings.SHARED_STORE, settings.AUTH = True, 2, "", "on"
    found, status = looked_over()
    assert status == 1
    assert any("DEBUG" in finding["words"] for finding in found["settings"])
    assert levels(found["workers"]) == ["warning"]
    assert levels(found["API keys"]) == ["wrong"]


def test_a_full_disk_and_a_journal_that_cannot_be_written(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = type("Usage", (), {"free": 10, "total": 100 * 1024**3})()
    monkeypatch.setattr(system_checks.shutil, "disk_usage", lambda _: disk)
    (tmp_path / "ledger-journal").touch()
    settings.DATA_DIR = tmp_path
    found, _ = looked_over()
    assert levels(found["disk"]) == ["wrong"]
    assert levels(found["journal"]) == ["wrong"]


@pytest.mark.parametrize(
    ("mebibytes", "words", "level"),
    [(63, "refused now", "wrong"), (65, "soon", "wrong"), (1_000, "prune", "warning")],
)
def test_the_free_space_is_judged_by_when_records_are_refused(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    mebibytes: int, words: str, level: str,
) -> None:  # fmt: skip
    settings.MIN_FREE_DISK_MB, settings.DATA_DIR = 64, tmp_path
    disk = type("Usage", (), {"free": mebibytes * 1024**2, "total": 100 * 1024**3})()
    monkeypatch.setattr(system_checks.shutil, "disk_usage", lambda _: disk)
    finding = next(system_checks.disk(Journal(tmp_path / "journal")))
    assert finding.level == level
    assert words in finding.cure


def test_a_redis_that_is_away(settings: Any) -> None:
    pytest.importorskip("redis")
    settings.SHARED_STORE = "redis://127.0.0.1:1/0"
    found, status = looked_over()
    assert status == 1
    assert levels(found["shared cache"]) == ["wrong"]


@pytest.mark.parametrize(("seconds", "level"), [(0, "ok"), (5, "warning"), (-3600, "wrong")])
def test_clocks_apart(seconds: int, level: str) -> None:
    found: list[Finding] = list(system_checks._clock("Redis's", time.time() + seconds))
    assert [finding.level for finding in found] == [level]


def test_a_check_that_fails_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> Any:
        raise RuntimeError("a secret")

    monkeypatch.setattr(system_checks, "database", fails)
    found, status = looked_over()
    assert status == 1
    assert "RuntimeError" in found["database"][0]["words"]
    assert "secret" not in json.dumps(found)


def test_people_read_signs_and_cures() -> None:
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", stdout=out)
    assert "✗" in out.getvalue()
    assert "wrong." in out.getvalue()


@pytest.mark.django_db(transaction=True)
async def test_providers_are_asked_where_that_is_wanted(fakes: dict[str, FakeProvider]) -> None:
    from optimizer.management.commands.doctor import _call

    fakes["gemini"].always(Reply(status=401, body={"error": {"message": "no"}}))
    found = {finding.about: finding for finding in await _call()}
    assert found["provider claude"].level == "ok"
    assert found["provider gemini"].level == "wrong"
    assert "key" in found["provider gemini"].cure


def test_the_best_model_and_those_not_worth_their_price_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    found, _ = looked_over()
    words = " ".join(finding["words"] for finding in found["models"])
    assert "Best single model by published results: claude/claude-opus-5-5" in words
    assert "claude/claude-haiku-4-5 (claude/claude-haiku-5-5)" in words
    assert "gpt-" not in words  # its provider is not configured


def test_a_refreshed_file_of_abilities_that_is_broken_is_named(
    monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    settings.DATA_DIR = tmp_path
    (tmp_path / "abilities.toml").write_text("[scale]")
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    found, _ = looked_over()
    assert found["models"][0]["level"] == "warning"
    assert "abilities.toml: [scale] weak" in found["models"][0]["words"]
    assert "--refresh" in found["models"][0]["cure"]


def test_a_database_without_tables_is_named_and_the_other_checks_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> None:
        raise OperationalError("no such table: price_overrides")

    monkeypatch.setattr("optimizer.management.commands.doctor.load_operator_prices", missing)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    found, status = looked_over()
    assert status == 1
    assert "wrong" in levels(found["prices"])
    assert "migrate" in " ".join(finding["cure"] for finding in found["prices"])
    assert found["models"]
