"""The commands of every day, and the process around them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import (
    CommandError,
    call_command,
    get_commands,
    load_command_class,
)

from optimizer.domain.identifiers import new_request_id
from optimizer.monitoring.logs import PlainFormatter
from tests.fakes.wires import KEY
from tests.patience import PATIENCE
from tests.running import own_database


def run(command: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def _keyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_keyed")
class TestRoute:
    def test_it_explains_a_decision(self) -> None:
        text = run("route", "Compare B-trees and LSM trees in depth.")
        for words in ("claude/", "Complexity", "Candidates", "demanding work", "✓"):
            assert words in text
        assert KEY not in text

    def test_it_speaks_json(self) -> None:
        decision = json.loads(run("route", "hi", "--json", "--auto-route"))
        assert decision["strategy_used"] == "hybrid"
        assert decision["metadata"]["candidates"]

    def test_a_blank_prompt_is_refused(self) -> None:
        with pytest.raises(CommandError, match="blank"):
            run("route", "  ")


@pytest.mark.django_db
def test_the_first_administrator_s_password_is_printed_once() -> None:
    said = run("ensure_admin")
    password = said.split(" / ")[1].split()[0]
    user = get_user_model().objects.get()
    assert user.is_superuser
    assert user.check_password(password)
    assert run("ensure_admin") == ""
    assert "already" in run("ensure_admin", "--verbosity", "2")


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "optimizer.settings", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@own_database
def test_production_refuses_to_start_without_a_secret_key(tmp_path) -> None:
    result = manage(
        "check",
        ENVIRONMENT="production",
        SECRET_KEY="",
        DATA_DIR=str(tmp_path),
        ENV_FILE=os.devnull,
    )
    assert result.returncode != 0
    assert "SECRET_KEY must be set in production" in result.stderr


@own_database
def test_production_settings_pass_django_s_own_check(tmp_path) -> None:
    result = manage(
        "check", "--deploy", "--fail-level", "WARNING",
        ENVIRONMENT="production", SECRET_KEY="k0" * 30 + "!aZ", DATA_DIR=str(tmp_path),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "command", ["serve", "route", "routing_report", "prune", "ensure_admin", "evaluate_router"]
)
def test_help_teaches(command: str) -> None:
    parser = load_command_class(get_commands()[command], command).create_parser(
        "manage.py", command
    )
    assert len(parser.format_help().split("options:")[0]) > 150


def test_the_env_example_names_every_setting() -> None:
    source = (settings.BASE_DIR / "optimizer" / "settings.py").read_text()
    example = (settings.BASE_DIR / ".env.example").read_text()
    catalogue = (settings.BASE_DIR / "providers" / "catalogue.toml").read_text()
    names = {part.split('"')[1] for part in source.split("env.")[1:] if '("' in part.split(",")[0]}
    names |= {word for word in catalogue.replace('"', " ").split() if word.endswith("_API_KEY")}
    missing = {n for n in names if n.isupper() and f"{n}=" not in example} - {"ENV_FILE"}
    assert missing == set()


def test_request_ids_are_version_7_and_sort_by_time() -> None:
    before = time.time_ns() // 1_000_000
    ids = [new_request_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    for identifier in ids:
        assert (identifier.version, identifier.variant) == (7, uuid.RFC_4122)
        assert before <= identifier.int >> 80 <= time.time_ns() // 1_000_000


def test_log_lines_carry_no_traceback_and_no_message_of_the_error() -> None:
    import logging

    try:
        raise ValueError("the prompt")
    except ValueError:
        record = logging.LogRecord("x", 40, "f.py", 1, "It failed", (), sys.exc_info())
    line = PlainFormatter("{message}", style="{").format(record)
    assert "ValueError at" in line
    assert "the prompt" not in line
    assert "Traceback" not in line


def test_a_wrong_host_header_prints_no_traceback(tmp_path: Path) -> None:
    # In a process of its own: pytest's log capturing would take the lines.
    script = (
        "import django; django.setup()\n"
        "from django.test import Client\n"
        "print(Client().get('/admin/login/', headers={'host': 'evil.example'}).status_code)"
    )
    environment = {
        **os.environ, "DJANGO_SETTINGS_MODULE": "optimizer.settings", "DATA_DIR": str(tmp_path),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("400\n", "")
