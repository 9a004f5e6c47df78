"""manage.py abilities: the table, the refresh from OpenRouter, and the fit of the lines."""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from optimizer.lab.published_abilities import openrouter_table
from optimizer.management.commands.abilities import Command
from optimizer.wiring.product_settings import product_settings
from optimizer.wiring.routing import (
    installed_abilities,
    refreshed_abilities_file,
    routing_abilities,
)
from providers.ability_files import SHIPPED_ABILITIES, load_abilities, read_abilities
from providers.openrouter_indices import fetch_indices
from tests.factories import RequestRecordFactory
from tests.fakes.server import Asked, FakeProvider, Reply

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def data_dir(settings: LazySettings, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("abilities", *arguments, stdout=out)
    return out.getvalue()


def as_json(*arguments: str) -> dict[str, Any]:
    return dict(json.loads(run("--json", *arguments)))


def of_models(body: dict[str, Any], effort: str | None = None) -> dict[str, dict[str, Any]]:
    return {row["model"]: row for row in body["models"] if row["effort"] == effort}


def listed(name: str, intelligence: float | None, **others: float | None) -> dict[str, Any]:
    """A model of GET /models, as OpenRouter's schema has it.

    https://openrouter.ai/docs/client-sdks/python/components/aabenchmarkentry.md
    """
    figures = {"intelligence_index": intelligence, "coding_index": None, "agentic_index": None}
    return {
        "id": name,
        "name": name,
        "context_length": 131072,
        "pricing": {"prompt": "0.000001", "completion": "0.000005"},
        "benchmarks": {"artificial_analysis": {**figures, **others}, "design_arena": []},
    }


MODELS = [
    listed("openai/gpt-oss-20b", 15.0, coding_index=20.0),
    listed("openai/gpt-oss-120b", 24.0),
    listed("openai/gpt-oss-120b:free", 99.0),
    listed("anthropic/claude-haiku-4.5", 30.0),
    listed("google/gemini-3.5-flash-lite", 36.0),
    listed("openai/gpt-6-luna", 50.0, agentic_index=44.0),
    listed("anthropic/claude-opus-5.5", 62.0, agentic_index=60.5),
    listed("somebody/new-model", 45.0),
    {"id": "somebody/without-results", "name": "No results"},
    {"id": "somebody/other-results", "benchmarks": {"design_arena": [{"elo": 1300}]}},
]


@pytest_asyncio.fixture
async def openrouter(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeProvider]:
    def wire(asked: Asked) -> Reply:
        assert (asked.method, asked.path) == ("GET", "/api/v1/models")
        return Reply({"data": MODELS})

    async with FakeProvider(wire) as fake:
        monkeypatch.setenv("OPENROUTER_BASE_URL", f"{fake.url}/api/v1")
        monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
        yield fake


def answers_by(index: str) -> str:
    """Recorded answers of the models of an index: the higher they are in it, the more are right."""
    draw = random.Random(3)
    shares = {
        r.model: r.value / 100
        for r in load_abilities().results
        if r.index == index and not r.effort
    }
    rows = [
        {
            "id": f"made/{number}",
            "benchmark": "made",
            "prompt": f"Question {number}?",
            "outcomes": {
                model: {
                    "quality": float(draw.random() < share), "input_tokens": 1, "output_tokens": 1
                }
                for model, share in shares.items()
            },
        }
        for number in range(300)
    ]  # fmt: skip
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_the_table_names_places_and_who_has_nothing_published() -> None:
    rows = [[cell.strip() for cell in line.split("│")] for line in run().splitlines()]
    shown = {row[1]: row[2:5] for row in rows if len(row) > 4}
    place, width, counted = shown["claude/claude-opus-5-5"]
    assert float(place) > 1 > float(width) > 0
    assert counted == "3 of 4"
    assert shown["local/smollm2-135m-instruct"] == ["-0.88", "0.17", "1 of 1"]
    without = "".join(run().partition("Without one: ")[2].split()).partition(".The")[0]
    assert "qwen/qwen3.8-flash" in without.split(",")


def test_json_has_each_result_with_its_source_and_date_and_efforts_apart() -> None:
    body = as_json()
    models = of_models(body)

    opus = models["claude/claude-opus-5-5"]
    assert opus["place"] > models["claude/claude-haiku-4-5"]["place"]
    assert opus["results"][0] == {
        "index": "whatmodel",
        "title": "whatmodel.sh score",
        "skill": "intelligence",
        "value": 84.7,
        "counts": True,
        "source": "https://raw.githubusercontent.com/jakemanger/whatmodel/main/pages/model/"
        "claude-opus-5-5.md",
        "date": "2026-11-29",
    }
    assert models["local/smollm2-135m-instruct"]["published"] is True
    low, high = (of_models(body, effort)["groq/openai/gpt-oss-120b"] for effort in ("low", "high"))
    assert low["place"] < high["place"]


def test_json_of_one_model_is_of_that_model_alone() -> None:
    rows = as_json("gpt-oss-120b")["models"]
    assert {row["model"] for row in rows} == {"cerebras/gpt-oss-120b"}
    assert {row["effort"] for row in rows} == {None, "low", "medium", "high"}


@pytest.mark.parametrize("arguments", [["--json"], ["--refresh"], []])
def test_an_unknown_model_is_refused_before_anything_is_done(arguments: list[str]) -> None:
    with pytest.raises(CommandError, match="no model nosuch"):
        run("nosuch", *arguments)
    assert not refreshed_abilities_file().exists()


def test_a_fit_takes_no_model(tmp_path: Path) -> None:
    files = ["--fit", str(tmp_path / "data.jsonl"), "--output", str(tmp_path / "new.toml")]
    with pytest.raises(CommandError, match="--fit goes with --output alone"):
        run("gpt-oss-120b", *files)


def test_a_difference_that_rounds_to_nothing_is_not_shown() -> None:
    assert "-0.00" not in run("claude-opus-5-5")
    assert not re.search(r"-0\.0\b", run("--json"))


def test_help_teaches() -> None:
    text = Command().create_parser("manage.py", "abilities").format_help()
    for word in ("--refresh", "--fit", "DATA_DIR/abilities.toml", "restart", "weak"):
        assert word in text


async def test_a_refresh_writes_a_file_that_wins_and_says_what_changed(
    openrouter: FakeProvider,
) -> None:
    before = await sync_to_async(as_json)()
    text = await sync_to_async(run)("--refresh")

    assert "10 results are new, 0 changed, 0 are gone" in " ".join(text.split())
    assert "authorization" not in {name.lower() for name in openrouter.asked[0].headers}
    table = read_abilities(refreshed_abilities_file())
    assert {r.value for r in table.results_of("openai/gpt-oss-120b")} == {24.0}
    assert table.indices["openrouter_intelligence"].line is not None
    # Two models have it, and a line needs five.
    assert table.indices["openrouter_agentic"].line is None
    assert installed_abilities().ability("new-model") is not None
    assert load_abilities().ability("new-model") is None
    after = of_models(await sync_to_async(as_json)())["openai/gpt-6-luna"]
    assert {r["index"] for r in after["results"]} >= {"whatmodel", "openrouter_intelligence"}
    assert after["place"] != of_models(before)["openai/gpt-6-luna"]["place"]


async def test_a_second_refresh_names_what_differs(openrouter: FakeProvider) -> None:
    await sync_to_async(run)("--refresh")
    changed = [listed("openai/gpt-6-luna", 52.0, agentic_index=44.0), *MODELS[6:]]
    openrouter.next(Reply({"data": changed}), Reply({"data": changed}))

    changes = (await sync_to_async(as_json)("--refresh"))["changes"]

    luna = {
        "model": "gpt-6-luna", "index": "openrouter_intelligence", "before": 50.0, "after": 52.0
    }  # fmt: skip
    assert luna in changes
    assert {c["model"] for c in changes if c["after"] is None} >= {"gpt-oss-20b", "gpt-oss-120b"}
    assert (await sync_to_async(as_json)("--refresh"))["changes"] == []


async def test_the_key_is_sent_if_there_is_one(
    openrouter: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "dummy-key")
    await sync_to_async(run)("--refresh")

    assert openrouter.asked[0].headers["Authorization"] == "Bearer dummy-key"


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (Reply({"error": "busy"}, status=503), "answered 503"),
        (Reply(b"<html>"), "something else than a list of models"),
        (Reply([1, 2]), "something else than a list of models"),
        (Reply({"data": [{"name": "no id"}]}), "something else than a list of models"),
        (Reply({"data": [{"id": "a/b"}]}), "no model with indices"),
        (Reply({"data": [listed("a/b", None)]}), "no model with indices"),
        (Reply({"data": []}, drop=True), "cannot be reached"),
    ],
)
async def test_without_indices_nothing_is_written(
    openrouter: FakeProvider, reply: Reply, complaint: str
) -> None:
    openrouter.next(reply)

    with pytest.raises(CommandError, match=complaint) as caught:
        await sync_to_async(run)("--refresh")

    assert str(caught.value).startswith("Nothing is changed.")
    assert not refreshed_abilities_file().exists()


def test_a_wrong_file_is_named_and_routing_goes_on_without_it(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (data_dir / "abilities.toml").write_text("[scale]\nweak = 1\n")

    with pytest.raises(CommandError, match=r"abilities\.toml: \[scale\] strong"):
        run()
    assert installed_abilities() == load_abilities()
    assert "Routing continues with the shipped abilities" in caplog.text


def test_the_lines_are_fitted_on_recorded_answers(tmp_path: Path) -> None:
    data, output = tmp_path / "made.jsonl", tmp_path / "fitted.toml"
    data.write_text(answers_by("gpqa_diamond"))

    text = run("--fit", str(data), "--output", str(output))

    fitted = read_abilities(output)
    assert fitted.results == load_abilities().results
    assert fitted.weak < fitted.strong
    line = fitted.indices["gpqa_diamond"].line
    assert line is not None
    assert line.models == 13
    assert output.read_text().splitlines()[0] == SHIPPED_ABILITIES.read_text().splitlines()[0]
    assert f"{len(fitted.results)} results" in text


@pytest.mark.parametrize(
    "arguments",
    [("--fit", "x.jsonl"), ("--output", "x"), ("--fit", "x", "--output", "y", "--refresh")],
)
def test_options_that_do_not_go_together_are_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="--fit"):
        run(*arguments)


def test_data_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="none.jsonl"):
        run("--fit", str(tmp_path / "none.jsonl"), "--output", str(tmp_path / "out.toml"))


async def test_a_line_is_fitted_on_the_models_that_both_have(openrouter: FakeProvider) -> None:
    day = date(2026, 11, 29)
    results = await sync_to_async(fetch_indices)(f"{openrouter.url}/api/v1/", "", day)
    table = openrouter_table(load_abilities(), results)

    line = table.indices["openrouter_intelligence"].line
    assert line is not None
    assert line.models == 6
    assert line.error >= 0.4


def test_a_predictor_of_ones_own_goes_by_tiers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert routing_abilities() == load_abilities()

    own = replace(product_settings(), router_artifact="mine.npz")
    monkeypatch.setattr("optimizer.wiring.routing.product_settings", lambda: own)

    assert routing_abilities() is None


def test_one_model_has_a_place_a_length_and_a_speed_by_effort() -> None:
    RequestRecordFactory.create_batch(
        25, provider="groq", model="openai/gpt-oss-120b", effort="high", tokens_out=2000,
        provider_ms=21_000, ttft_ms=1_000, streamed=True,
    )  # fmt: skip
    lines = run("openai/gpt-oss-120b").splitlines()
    rows = [[cell.strip() for cell in line.split("│")] for line in lines]
    by_effort = {row[1]: row[2:8] for row in rows if len(row) == 9}
    assert by_effort["high"] == ["1.83", "0.28", "25", "2000", "1.0", "100"]
    assert by_effort["low"][2:] == ["0", "–", "–", "–"]
    assert float(by_effort["low"][0]) < float(by_effort["medium"][0])
    assert "not stated" in by_effort


def test_the_results_of_one_model_name_their_sources() -> None:
    text = run("gpt-6.1-terra")
    published = [r for r in load_abilities().results_of("gpt-6.1-terra") if not r.effort]
    assert published
    for result in published:
        assert f"{result.value:g}" in text
        assert result.source in text
    with pytest.raises(CommandError, match="no model nowhere-1"):
        run("nowhere-1")
