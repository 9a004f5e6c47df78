"""manage.py evaluate_router: many models at once, cost at equal quality, and robustness."""

from __future__ import annotations

import io
import json
import random
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from optimizer.lab.price_list import table_prices

DEAR, MIDDLE, CHEAP, UNPRICED = "gpt-4-0314", "gpt-4o", "gpt-3.5-turbo-0125", "a-model-of-mine"


def run(*arguments: str) -> tuple[str, str]:
    out, errors = io.StringIO(), io.StringIO()
    call_command("evaluate_router", *arguments, stdout=out, stderr=errors)
    return out.getvalue(), errors.getvalue()


def row(number: int, qualities: dict[str, float]) -> dict[str, Any]:
    return {
        "id": f"b/{number}",
        "benchmark": "b",
        "prompt": f"What is the sum of {number} and {number * 7}?",
        "outcomes": {
            model: {"quality": quality, "input_tokens": 100, "output_tokens": 100}
            for model, quality in qualities.items()
        },
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    draw = random.Random(0)
    likely = {DEAR: 0.9, MIDDLE: 0.7, CHEAP: 0.4, UNPRICED: 0.5}
    rows = [row(n, {m: float(draw.random() < p) for m, p in likely.items()}) for n in range(80)]
    rows += [row(n, {"another": 1.0, "the other": 0.0}) for n in range(100, 110)]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in rows))
    return path


def test_all_models_with_a_public_price_are_compared_at_once(data: Path) -> None:
    out, errors = run("--data", str(data), "--router", "oracle", "--resamples", "5", "--json")
    (report,) = json.loads(out)
    many = report["many_models"]["oracle"]
    assert set(many["cost_at_equal_quality"]) == {DEAR, MIDDLE, CHEAP}
    assert 0 < many["cost_at_equal_quality"][DEAR]["value"] < 0.5
    assert report["unpriced_models"] == [UNPRICED]
    assert report["answered_by_other_models"] == 10
    assert "10 prompts are left out" in errors


def test_the_models_to_choose_among_can_be_named(data: Path) -> None:
    arguments = ("--data", str(data), "--router", "length", "--resamples", "5", "--json")
    (report,) = json.loads(run(*arguments, "--models", MIDDLE, CHEAP)[0])
    assert (report["weak"]["model"], report["strong"]["model"]) == (CHEAP, MIDDLE)
    assert report["routers"]["length"]["cost_at_equal"]["value"] <= 1
    with pytest.raises(CommandError, match="nobody"):
        run(*arguments, "--models", "nobody", MIDDLE)


@pytest.mark.parametrize("models", [[MIDDLE], [MIDDLE, MIDDLE], [MIDDLE, "another"]])
def test_models_that_answered_no_prompt_together_are_named(data: Path, models: list[str]) -> None:
    with pytest.raises(CommandError, match="at least two of the models of --models"):
        run("--data", str(data), "--router", "length", "--models", *models)


def test_a_plot_is_a_png_file(data: Path, tmp_path: Path) -> None:
    for wrong in (tmp_path, tmp_path / "plot", tmp_path / "plot.pdf"):
        with pytest.raises(CommandError, match=r"--plot must be a file \*.png"):
            run("--data", str(data), "--router", "length", "--plot", str(wrong))


@pytest.mark.parametrize(
    "command", [("evaluate_router",), ("train_router", "--output", "router.npz")]
)
def test_a_negative_seed_is_refused_by_its_name(data: Path, command: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="--seed must be at least 0"):
        call_command(*command, "--data", str(data), "--seed", "-1")


def test_robustness_is_shown_and_fits_a_terminal(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    arguments = ("--data", str(data), "--router", "length", "oracle", "--resamples", "5")
    shown, _ = run(*arguments, "--robustness")
    for words in ("Reworded prompts that keep their model", "thirteen languages", "greeting"):
        assert words in shown
    assert max(map(len, shown.splitlines())) <= 100
    found = json.loads(run(*arguments, "--robustness", "--json")[0])["robustness"]
    assert found["reworded_known"]["learning"] >= 0.98
    assert {len(entry["kept"]) for entry in found["languages"]} == {3}


def test_prices_are_those_of_the_day_per_million_tokens() -> None:
    prices = table_prices([CHEAP, "openai/gpt-4o", UNPRICED], datetime(2026, 1, 1, tzinfo=UTC))
    assert prices == {
        CHEAP: (Decimal("0.5"), Decimal("1.5")),
        "openai/gpt-4o": (Decimal("2.5"), Decimal(10)),
    }
