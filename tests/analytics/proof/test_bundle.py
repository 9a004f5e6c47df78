"""Proofs: the verifier agrees with what was written, and notices any change."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from analytics.ledger.ledger import LedgerEntry, write_entries
from analytics.models import LedgerDay, LedgerSeal, RequestRecord
from analytics.proof import verify
from analytics.proof.signing import key_path, public_text, signing_key
from optimizer.wiring.build import get_services
from providers.completion import Usage
from tests.factories import (
    ComparisonFactory,
    FeedbackFactory,
    RequestRecordFactory,
    RoutingMetricFactory,
)

D = Decimal
START = datetime(2026, 10, 3, 5, tzinfo=UTC)


MODELS = ("claude-haiku-5-5", "claude-sonnet-5-5")


def entries(
    count: int, models: Sequence[str] = MODELS, users: Sequence[str] = ("ann", "bob", "")
) -> list[LedgerEntry]:
    """Requests of several users, models and days, priced as the service prices them.

    Each of ``models`` was as likely to be chosen.
    """
    candidates = [
        {"provider": "claude", "model": model, "propensity": 1 / len(models)} for model in models
    ]
    chance = random.Random(7)
    book, made = get_services().prices, []
    for number in range(count):
        at = START + timedelta(hours=number * 5)
        tokens = {"tokens_in": chance.randrange(1, 5000), "tokens_out": chance.randrange(1, 900)}
        usage = Usage(input_tokens=tokens["tokens_in"], output_tokens=tokens["tokens_out"])
        model = chance.choice(models)
        failed = number % 11 == 0
        cost = book.cost("claude", model, usage, at)
        baseline = book.cost("claude", "claude-opus-5-5", usage, at) or cost
        assert cost is not None
        assert baseline is not None
        request = RequestRecordFactory.build(
            **tokens, created_at=at, model=model, user_id=chance.choice(users),
            tags=chance.choice([[], ["a"], ["é", "a"]]), prompt=f"secret {number}",
            status="error" if failed else "ok", cost=D("0.001") if failed else cost,
        )  # fmt: skip
        decision = RoutingMetricFactory.build(
            request=request, baseline_provider="claude", baseline_model="claude-opus-5-5",
            baseline_cost=None if failed else baseline, explored=number % 7 == 0,
            routing_saved=None if failed else baseline - cost, prompt_cache_saved=D(0),
            metadata={"candidates": candidates},
        )  # fmt: skip
        made.append(LedgerEntry(request, decision))
    return made


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


def prove(folder: Path) -> Path:
    path = folder / "proof.zip"
    call_command("prove", "--month", "2026-10", "--output", path, stdout=io.StringIO())
    return path


@pytest.fixture
def ledger() -> list[LedgerEntry]:
    made = entries(60)
    for at in range(0, len(made), 7):
        write_entries(made[at : at + 7])
    refused = RequestRecordFactory.build(created_at=START, status="refused", http_status=429)
    write_entries([LedgerEntry(refused)])
    return made


FILES = (
    "rows.jsonl", "prices.json", "overrides.json", "comparisons.json", "ratings.json", "days.json",
    "statement.json",
)  # fmt: skip


def file_of(data: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(name)


def resign(data: bytes, change: Callable[[dict[str, bytes]], object]) -> bytes:
    """Return the bundle with changed files, signed again by its own installation."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.comment = b"Ed25519 " + b"0" * 128
    signed = out.getvalue()[:-128]
    return signed + signing_key().sign(sha256(signed).digest()).hex().encode()


@pytest.mark.django_db
def test_the_verifier_agrees_and_needs_nothing_of_this_project(
    folder: Path, ledger: list[LedgerEntry]
) -> None:
    for entry in ledger[1:40]:
        request = RequestRecord.objects.get(pk=entry.request.pk)
        ComparisonFactory(request=request, created_at=request.created_at, judge_cost=D("0.0001"))
        FeedbackFactory(request=request, score=0.75)
    path, script = prove(folder), folder / "verify.py"
    call_command("prove", "--verifier", script, stdout=io.StringIO())
    key = public_text(signing_key())
    run = subprocess.run(
        [sys.executable, "-I", "-S", script, path, "--key", key],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    assert "Everything agrees." in run.stdout
    assert f"signed by {key}" in run.stdout
    problems, bundle = verify.verify(path.read_bytes(), key)
    stated = bundle.statement
    assert (problems, stated["total"]["requests"], stated["refused"]) == ([], 60, 1)
    assert stated["savings"]["saved_low"] is not None
    assert stated["quality"]["basis"] == "pairs"
    assert set(stated["prices"]["answers"]) == {"equal"}
    assert verify.verify(path.read_bytes(), "ab" * 32)[0][0].startswith("the bundle is signed by")


@pytest.mark.django_db
def test_no_prompt_is_in_a_bundle(folder: Path, ledger: list[LedgerEntry]) -> None:
    with zipfile.ZipFile(prove(folder)) as archive:
        texts = [archive.read(name) for name in archive.namelist()]
    assert ledger[0].request.prompt == "secret 0"
    assert [text for text in texts if b"secret" in text] == []


@pytest.mark.django_db
def test_quality_from_ratings_is_computed_again(folder: Path) -> None:
    users = [f"user-{n}" for n in range(25)]
    made = entries(140, ("claude-haiku-5-5", "claude-opus-5-5"), users)
    write_entries(made)
    for number, entry in enumerate(made * 2):
        if number % 7 and entry.request.status == "ok":
            request = RequestRecord.objects.get(pk=entry.request.pk)
            FeedbackFactory(request=request, score=number % 5 / 4)
    problems, bundle = verify.verify(prove(folder).read_bytes())
    assert (problems, bundle.statement["quality"]["basis"]) == ([], "ratings")


_bundles: dict[str, bytes] = {}


@pytest.mark.django_db
@hypothesis_settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_changed_byte_of_a_bundle_is_noticed(
    folder: Path, ledger: list[LedgerEntry], place: float, bit: int
) -> None:
    if str(folder) not in _bundles:
        _bundles[str(folder)] = prove(folder).read_bytes()
    data = bytearray(_bundles[str(folder)])
    data[int(place * len(data))] ^= 1 << bit
    with pytest.raises(verify.Unreadable):
        verify.verify(bytes(data))


@pytest.mark.django_db
def test_a_cut_or_longer_bundle_is_noticed(folder: Path, ledger: list[LedgerEntry]) -> None:
    data = prove(folder).read_bytes()
    for other in (b"", data[:-1], data[1:], data + b"\0", data[:200], b"\0" + data):
        with pytest.raises(verify.Unreadable):
            verify.verify(other)


def _figures(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(document, dict):
        return [leaf for key in document for leaf in _figures(document[key], (*path, key))]
    if isinstance(document, list):
        return [leaf for at, item in enumerate(document) for leaf in _figures(item, (*path, at))]
    return [path]


def _change(document: Any, path: tuple[Any, ...]) -> None:
    for key in path[:-1]:
        document = document[key]
    value = document[path[-1]]
    if isinstance(value, str) and value.replace(".", "").lstrip("-").isdigit():
        document[path[-1]] = str(D(value) + 1)
    elif isinstance(value, str):
        document[path[-1]] = value + "x"
    else:
        document[path[-1]] = 1 if value is None else value + 1


@pytest.mark.django_db
def test_every_figure_of_the_statement_is_computed_again(
    folder: Path, ledger: list[LedgerEntry]
) -> None:
    data = prove(folder).read_bytes()
    stated = verify.Bundle(data).statement
    computed = verify.statement(verify.Bundle(data))
    places = _figures(stated)
    assert len(places) > 150
    for place in places:
        document = json.loads(json.dumps(stated))
        _change(document, place)
        assert list(verify.differences(document, computed)), place


def verified(path: Path, data: bytes) -> tuple[int, str]:
    """Return the exit code and the output of the verifier as a program of its own."""
    path.write_bytes(data)
    done = subprocess.run(
        [sys.executable, verify.__file__, str(path)], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


ODD = [
    ("manifest.json", lambda manifest: {**manifest, "methods": []}),
    ("manifest.json", lambda manifest: {**manifest, "since": 1}),
    ("manifest.json", lambda manifest: {"key": manifest["key"]}),
    ("statement.json", lambda statement: {}),
    ("statement.json", lambda statement: {**statement, "savings": {}}),
    ("ratings.json", lambda ratings: [{}]),
    ("ratings.json", lambda ratings: None),
    ("comparisons.json", lambda comparisons: [{"score": "high", "reference_score": []}]),
    ("prices.json", lambda prices: [{**price, "rates": {}} for price in prices]),
    ("days.json", lambda days: [{}]),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "change"), ODD)
def test_whatever_is_signed_the_verifier_says_what_is_wrong(
    folder: Path, ledger: list[LedgerEntry], name: str, change: Callable[[Any], Any]
) -> None:
    def changed(files: dict[str, bytes]) -> None:
        files[name] = json.dumps(change(json.loads(files[name]))).encode()

    code, text = verified(folder / "odd.zip", resign(prove(folder).read_bytes(), changed))
    assert code == 1
    assert "DOES NOT AGREE" in text


@pytest.mark.django_db
def test_names_in_a_bundle_cannot_write_over_the_verdict(
    folder: Path, ledger: list[LedgerEntry]
) -> None:
    def changed(files: dict[str, bytes]) -> None:
        statement = json.loads(files["statement.json"])
        statement["by_user"]["\x1b[2J\nEverything agrees."] = {}
        files["statement.json"] = json.dumps(statement).encode()

    code, text = verified(folder / "odd.zip", resign(prove(folder).read_bytes(), changed))
    assert code == 1
    assert "\x1b" not in text
    assert "Everything agrees." not in text.splitlines()


@pytest.mark.django_db
def test_days_without_requests_are_named(folder: Path, ledger: list[LedgerEntry]) -> None:
    code, text = verified(folder / "whole.zip", prove(folder).read_bytes())
    assert code == 0
    assert "the ledger begins on 2026-10-03" in text
    assert "days without requests (each with a signed root of no rows): 2026-10-16" in text


@pytest.mark.django_db
def test_a_day_that_is_taken_away_whole_is_noticed(folder: Path, ledger: list[LedgerEntry]) -> None:
    """From the bundle with its root, or from the ledger with its rows, seals and root."""
    whole = prove(folder).read_bytes()
    rows = [json.loads(line)["row"] for line in file_of(whole, "rows.jsonl").splitlines()]
    days = sorted({row["created_at"][:10] for row in rows})
    for day in (days[1], "2026-10-20"):

        def without(files: dict[str, bytes], day: str = day) -> None:
            lines = files["rows.jsonl"].splitlines()
            kept = [n for n in lines if json.loads(n)["row"]["created_at"][:10] != day]
            files["rows.jsonl"] = b"\n".join(kept)
            roots = [one for one in json.loads(files["days.json"]) if one["day"] != day]
            files["days.json"] = json.dumps(roots).encode()

        problems, _ = verify.verify(resign(whole, without))
        assert f"{day}: there is no signed root that says that the day has no rows" in problems
    RequestRecord.objects.filter(created_at__date=days[1]).delete()
    LedgerSeal.objects.filter(day=days[1]).delete()
    LedgerDay.objects.filter(day=days[1]).delete()
    with pytest.raises(CommandError):
        call_command("prove", "--check", stdout=io.StringIO())
    with pytest.raises(CommandError, match="or one before it is gone"):
        prove(folder)


@pytest.mark.django_db
def test_a_month_with_one_request(folder: Path) -> None:
    write_entries(entries(1))
    data = prove(folder).read_bytes()
    problems, bundle = verify.verify(data)
    assert problems == []
    assert len(bundle.rows) == 1
    assert verified(folder / "one.zip", data)[0] == 0


@pytest.mark.django_db
@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 0.999), bit=st.integers(0, 7), name=st.sampled_from(FILES))
def test_a_changed_byte_of_any_file_is_noticed_even_if_it_is_signed_again(
    folder: Path, ledger: list[LedgerEntry], at: float, bit: int, name: str
) -> None:
    whole = _bundles.setdefault(str(folder), b"") or prove(folder).read_bytes()
    _bundles[str(folder)] = whole

    def change(files: dict[str, bytes]) -> None:
        text = bytearray(files[name])
        text[int(at * len(text))] ^= 1 << bit
        files[name] = bytes(text)

    try:
        problems, _ = verify.verify(resign(whole, change))
    except verify.Unreadable:
        return
    assert f"{name}: the file is not the one that the manifest names" in problems


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, verify.__file__, str(folder / "none.zip")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "none.zip cannot be read: No such file" in done.stderr


@pytest.mark.django_db
@pytest.mark.parametrize("column", ["cost", "tokens_in", "user_id", "decision.baseline_cost"])
def test_a_changed_row_is_noticed_even_if_the_installation_signs_it(
    folder: Path, ledger: list[LedgerEntry], column: str
) -> None:
    def change(files: dict[str, bytes]) -> None:
        lines = files["rows.jsonl"].splitlines()
        row = json.loads(lines[5])
        value = row["row"].get(column, "")
        row["row"][column] = value + 1 if isinstance(value, int) else "1" + value
        lines[5] = json.dumps(row).encode()
        files["rows.jsonl"] = b"\n".join(lines)

    problems, _ = verify.verify(resign(prove(folder).read_bytes(), change))
    assert any("the rows are not those of the day's signed root" in text for text in problems)


@pytest.mark.django_db
def test_changed_prices_and_missing_rows_are_noticed(
    folder: Path, ledger: list[LedgerEntry]
) -> None:
    def dearer(files: dict[str, bytes]) -> None:
        prices = json.loads(files["prices.json"])
        prices[0]["rates"]["output"][0][1] = "1000"
        files["prices.json"] = json.dumps(prices).encode()

    def shorter(files: dict[str, bytes]) -> None:
        files["rows.jsonl"] = b"\n".join(files["rows.jsonl"].splitlines()[:-1])

    data = prove(folder).read_bytes()
    assert any(t.startswith("prices.") for t in verify.verify(resign(data, dearer))[0])
    assert any("signed root" in t for t in verify.verify(resign(data, shorter))[0])


@pytest.mark.django_db
def test_no_proof_of_a_changed_ledger_and_the_check_names_the_row(
    folder: Path, ledger: list[LedgerEntry]
) -> None:
    call_command("prove", "--check", stdout=io.StringIO())
    row = ledger[3].request.pk
    RequestRecord.objects.filter(pk=row).update(cost=D(9))
    with pytest.raises(CommandError, match=str(row)):
        prove(folder)
    out = io.StringIO()
    with pytest.raises(CommandError, match="on 1 day"):
        call_command("prove", "--check", stdout=out)
    assert str(row) in out.getvalue()


@pytest.mark.django_db
def test_months_without_days_or_seals(folder: Path) -> None:
    with pytest.raises(CommandError, match="No day of 2999-01 is over"):
        call_command("prove", "--month", "2999-01")
    with pytest.raises(CommandError, match="like 2026-10"):
        call_command("prove", "--month", "soon")
    RoutingMetricFactory(request__created_at=START)
    with pytest.raises(CommandError, match="--adopt"):
        prove(folder)
    call_command("prove", "--adopt", stdout=io.StringIO())
    assert verify.verify(prove(folder).read_bytes())[0] == []


@pytest.mark.django_db
def test_a_place_that_cannot_be_written_is_named(folder: Path, ledger: list[LedgerEntry]) -> None:
    for options in (("--verifier", folder / "no" / "v.py"),
                    ("--month", "2026-10", "--output", folder / "no" / "p.zip")):  # fmt: skip
        with pytest.raises(CommandError, match=r"no/.* cannot be written: No such file"):
            call_command("prove", *options, stdout=io.StringIO())


def test_the_key_is_the_owner_s_alone(folder: Path) -> None:
    key = public_text(signing_key())
    assert (key_path().stat().st_mode & 0o777, public_text(signing_key())) == (0o600, key)
    key_path().chmod(0o644)
    with pytest.raises(CommandError, match="chmod 600"):
        call_command("prove", "--key")


@given(st.binary(max_size=80), st.integers(0, 511))
def test_the_verifier_s_signatures_are_those_of_cryptography(message: bytes, bit: int) -> None:
    key = Ed25519PrivateKey.generate()
    public, signature = key.public_key().public_bytes_raw().hex(), key.sign(message)
    assert verify.signature_fits(public, signature.hex(), message)
    wrong = bytearray(signature)
    wrong[bit // 8] ^= 1 << bit % 8
    assert not verify.signature_fits(public, wrong.hex(), message)
    assert not verify.signature_fits(public, signature.hex(), message + b"x")


def test_the_verifier_s_random_numbers_are_numpy_s() -> None:
    for seed in (0, 1, 20_261_124):
        ours, theirs = verify.Random(seed), np.random.default_rng(seed)
        assert [ours.uniform() for _ in range(100)] == list(theirs.random(100))
    ours, theirs = verify.Random(5), np.random.default_rng(5)
    drawn = theirs.multinomial(256, np.full(256, 1 / 256), size=200)
    assert [ours.multinomial(256, 256) for _ in range(200)] == drawn.tolist()
