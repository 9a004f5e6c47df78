"""manage.py routerarena, with files as the arena writes them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

MODELS = """
"gpt-4o-mini" = { tier = "simple", input = "0.15", output = "0.60" }
"claude-3-opus" = { tier = "complex", input = "15", output = "75" }
"""
HARD = (
    "Design and implement a distributed rate limiter, analyze its complexity, compare at least "
    "three algorithms, prove its correctness and explain every tradeoff step by step in detail."
)


def run(*arguments: str | Path) -> str:
    out = io.StringIO()
    call_command("routerarena", *map(str, arguments), stdout=out)
    return out.getvalue()


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write(tmp_path / "models.toml", MODELS)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write(
        tmp_path / "router_data.json",
        [
            {"global index": "ArcMMLU_1", "prompt_formatted": "What is the capital of France?"},
            {"global index": "LCB_2", "prompt_formatted": HARD, "prompt": "unformatted"},
        ],
    )


@pytest.mark.django_db
def test_the_prediction_file_is_what_the_arena_asks_for(
    tmp_path: Path, models: Path, prompts: Path
) -> None:
    output, config = tmp_path / "our-router.json", tmp_path / "config.json"
    shown = run(
        *("predict", prompts, "--models", models, "--output", output, "--config", config),
        *("--strategy", "complexity"),
    )
    easy, hard = json.loads(output.read_text())
    assert easy["global index"] == "ArcMMLU_1"
    assert easy["prompt"] == "What is the capital of France?"
    assert easy["prediction"] == "gpt-4o-mini"
    assert hard["prompt"] == HARD
    assert hard["prediction"] == "claude-3-opus"
    assert {easy[name] for name in ("generated_result", "cost", "accuracy")} == {None}
    assert json.loads(config.read_text()) == {
        "pipeline_params": {
            "router_name": "our-router",
            "models": ["gpt-4o-mini", "claude-3-opus"],
        }
    }
    assert "1 of 2 prompts" in shown


@pytest.mark.django_db
def test_predictions_are_the_same_each_time(tmp_path: Path, models: Path, prompts: Path) -> None:
    texts = []
    for name in ("a.json", "b.json"):
        run("predict", prompts, "--models", models, "--output", tmp_path / name)
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]


def graded(tmp_path: Path) -> list[Path]:
    lines = [
        {"global_index": "p1", "evaluation_result": {"score": 1.0, "inference_cost": 0.001}},
        {"global_index": "p2", "accuracy": None},
    ]
    small = write(tmp_path / "gpt-4o-mini.jsonl", "\n".join(map(json.dumps, lines)))
    usage = {"input_tokens": 1000, "output_tokens": 100}
    entry = {
        "global index": "p2", "prediction": "claude-3-opus", "accuracy": 1,
        "generated_result": {"token_usage": usage},
    }  # fmt: skip
    return [small, write(tmp_path / "big.json", [entry])]


def test_a_prediction_file_is_scored_from_graded_answers(tmp_path: Path, models: Path) -> None:
    choices = [
        {"global index": "p1", "prediction": "gpt-4o-mini"},
        {"global index": "p2", "prediction": "claude-3-opus"},
        {"global index": "p2", "prediction": "gpt-4o-mini", "for_optimality": True},
        {"global index": "p3", "prediction": "gpt-4o-mini"},
    ]
    predictions = write(tmp_path / "p.json", choices)
    reworded = write(tmp_path / "r.json", [{"global index": "p1", "prediction": "gpt-4o-mini"}])
    result = json.loads(
        run(
            *("score", predictions, "--results", *graded(tmp_path), "--models", models),
            *("--reworded", reworded, "--format", "json"),
        )
    )
    # 1,000 tokens in at 15 and 100 out at 75 USD a million are 0.0225 USD.
    assert result["cost"] == "11.75000"
    assert (result["accuracy"], result["prompts"], result["missing"]) == (1.0, 2, 1)
    assert result["robustness"] == 1.0
    table = run("score", predictions, "--results", *graded(tmp_path), "--models", models)
    assert "$11.7500" in table
    assert "without a graded answer" in table


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "no prompts"),
        ("[1]", "entry 1: not an object"),
        ('[{"prompt": "x"}]', "entry 1: no 'global index'"),
        ('[{"global index": "a"}]', "entry 1: no 'prompt_formatted'"),
    ],
)
def test_a_wrong_prompts_file_is_named(
    tmp_path: Path, models: Path, content: str, message: str
) -> None:
    prompts = write(tmp_path / "prompts.json", content)
    with pytest.raises(CommandError, match=message):
        run("predict", prompts, "--models", models, "--output", tmp_path / "out.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no models"),
        ("a = 1", "a needs tier, input and output"),
        ('a = { tier = "huge", input = 1, output = 1 }', "tier of a must be one of simple"),
        ('a = { tier = "simple", input = -1, output = 1 }', "zero or more"),
    ],
)
def test_a_wrong_price_list_is_named(
    tmp_path: Path, prompts: Path, content: str, message: str
) -> None:
    models = write(tmp_path / "models.toml", content)
    with pytest.raises(CommandError, match=message):
        run("predict", prompts, "--models", models, "--output", tmp_path / "out.json")


def test_an_answer_without_cost_and_price_is_named(tmp_path: Path) -> None:
    predictions = write(tmp_path / "p.json", [{"global index": "p2", "prediction": "claude"}])
    with pytest.raises(CommandError, match="no cost, and no price of claude-3-opus"):
        run("score", predictions, "--results", graded(tmp_path)[1])
