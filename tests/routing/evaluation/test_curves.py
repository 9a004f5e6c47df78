"""The yardstick: APGR, CPT and costs, checked against what is known by construction."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from routing.evaluation.curves import Pair, bootstrap, figures
from routing.evaluation.report import evaluate
from routing.evaluation.scorers import SCORERS
from routing.outcomes import OutcomesError, read_outcomes


def pair(weak: list[float], strong: list[float], costs: tuple[float, float] = (1, 10)) -> Pair:
    n = len(weak)
    return Pair(
        [str(i) for i in range(n)],
        np.array(weak, dtype=float),
        np.array(strong, dtype=float),
        np.full(n, float(costs[0])),
        np.full(n, float(costs[1])),
    )


def recorded(number: int, weak: float, strong: float, prompt: str = "", **more: object) -> dict:
    return {
        "id": f"b/{number}",
        "benchmark": "b",
        "prompt": prompt or f"What is {number}?",
        "outcomes": {
            "small": {"quality": weak, "input_tokens": 10, "output_tokens": 10},
            "large": {"quality": strong, "input_tokens": 10, "output_tokens": 10},
        },
        **more,
    }


def written(folder: Path, rows: list[dict], name: str = "data.jsonl") -> Path:
    path = folder / name
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("evaluate_router", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_a_gain_spread_evenly_is_recovered_in_step_with_the_calls() -> None:
    found = figures(pair([0.0] * 100, [1.0] * 100), list(range(100)))
    assert found.apgr == pytest.approx(0.5)
    assert found.cpt == {0.5: 0.5, 0.8: 0.8, 0.95: 0.95}


def test_known_gains_first_recover_the_gap_at_once() -> None:
    # 20 of 100 prompts gain; sent first, they recover everything with a fifth of the calls.
    gains = [1.0] * 20 + [0.0] * 80
    found = figures(pair([0.0] * 100, gains), gains)
    assert found.cpt == {0.5: 0.1, 0.8: 0.16, 0.95: 0.19}
    assert found.apgr == pytest.approx((0.25 + 0.75) / 2 * 0.2 + 0.8, abs=0.01)
    # 19 strong calls of 100 reach 95 % of the strong model's mean.
    assert found.cost_at_95 == pytest.approx((19 * 10 + 81 * 1) / 1000)
    assert found.cost_at_equal == pytest.approx((20 * 10 + 80 * 1) / 1000)


def test_prompts_that_the_weak_model_wins_lift_the_curve_above_the_strong_model() -> None:
    found = figures(pair([1, 0, 0, 0], [0, 1, 1, 1]), [0, 3, 2, 1])
    assert found.cpt[0.95] < 1
    assert found.apgr > 0.6


def test_a_strong_model_that_is_no_better_leaves_nothing_to_recover() -> None:
    found = figures(pair([1, 1], [1, 0]), [0, 1])
    assert np.isnan(found.apgr)
    assert np.isnan(found.cost_at_95)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=60),
    st.floats(0.1, 10),
)
def test_only_the_order_of_the_scores_counts_and_the_oracle_is_the_ceiling(
    qualities: list[tuple[float, float]], stretch: float
) -> None:
    weak, strong = ([q[i] for q in qualities] for i in (0, 1))
    if np.mean(strong) - np.mean(weak) < 0.01:
        return
    models = pair(weak, strong)
    scores = [float(i * 7919 % 101) for i in range(len(weak))]
    ours = figures(models, scores)
    assert figures(models, [stretch * s for s in scores]).apgr == pytest.approx(ours.apgr)
    gains = [b - a for a, b in qualities]
    assert figures(models, gains).apgr >= ours.apgr - 1e-9


def test_weights_are_repetitions() -> None:
    weights = np.array([2.0, 1.0, 0.0, 3.0])
    once = pair([0.1, 0.5, 0.9, 0.2], [0.9, 0.6, 0.3, 0.8])
    keep = [0, 0, 1, 3, 3, 3]
    repeated = Pair(
        [once.ids[i] for i in keep],
        *(
            getattr(once, name)[keep]
            for name in ("weak_quality", "strong_quality", "weak_cost", "strong_cost")
        ),
    )
    scores = [4.0, 3.0, 2.0, 1.0]
    assert figures(once, scores, weights).apgr == pytest.approx(
        figures(repeated, [scores[i] for i in keep]).apgr, abs=0.02
    )


@hypothesis_settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000))
def test_intervals_are_reproducible_and_hold_the_estimate(seed: int) -> None:
    draw = np.random.default_rng(seed)
    models = pair(list(draw.random(200) * 0.5), list(0.4 + draw.random(200) * 0.5))
    scores = list(draw.random(200))
    first = bootstrap(models, scores, resamples=60, seed=seed)
    assert first == bootstrap(models, scores, resamples=60, seed=seed)
    assert first["apgr"].low <= first["apgr"].value <= first["apgr"].high


def test_learning_is_scored_on_prompts_it_was_not_trained_on(tmp_path: Path) -> None:
    # On code the strong model gains, on questions of fact it does not.
    rows = [
        recorded(n, 0.2, 0.9, f"Refactor this python function number {n}.")
        if n % 2
        else recorded(n, 0.9, 0.9, f"Who was king number {n} of France?")
        for n in range(200)
    ]
    prompts = {"made": list(read_outcomes([written(tmp_path, rows)]))}
    report = evaluate(prompts, "made", routers=["random", "learning"], prices={}, resamples=50)
    assert (report.weak, report.strong) == ("small", "large")
    assert report.routers["learning"]["apgr"].low > 0.7
    # With outcomes that belong to nothing in the prompt there is nothing to learn.
    draw = np.random.default_rng(1)
    noise = [recorded(n, float(draw.integers(2)), 1.0) for n in range(400)]
    prompts = {"made": list(read_outcomes([written(tmp_path, noise)]))}
    report = evaluate(prompts, "made", routers=["learning"], prices={}, resamples=50)
    assert 0.4 < report.routers["learning"]["apgr"].value < 0.6


def test_the_command_speaks_json_and_tables(tmp_path: Path) -> None:
    rows = [recorded(n, float(n % 3 == 0), 1.0) for n in range(60)]
    prices = tmp_path / "prices.toml"
    prices.write_text(
        'small = { input = "0.1", output = "0.1" }\nlarge = { input = "1", output = "1" }\n'
    )
    data = str(written(tmp_path, rows, "data.jsonl.gz"))
    arguments = ("--data", data, "--prices", str(prices), "--resamples", "20")
    (found,) = json.loads(run(*arguments, "--format", "json"))
    assert found["prompts"] == 60
    assert set(found["routers"]) == {*SCORERS} - {"transfer"}
    oracle = found["routers"]["oracle"]
    assert oracle["apgr"]["value"] > found["routers"]["random"]["apgr"]["value"]
    assert 0.1 < oracle["cost_at_95"]["value"] < 1
    table = run(*arguments, "--router", "length", "oracle")
    for words in ("APGR", "oracle", "60 prompts", "["):
        assert words in table


def test_costs_without_prices_or_tokens_are_left_out(tmp_path: Path) -> None:
    row = recorded(1, 0, 1)
    row["outcomes"]["large"]["output_tokens"] = None
    data = str(written(tmp_path, [row, recorded(2, 0, 1)]))
    (found,) = json.loads(run("--data", data, "--resamples", "5", "--format", "json"))
    assert found["routers"]["oracle"]["cost_at_95"]["value"] is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no json", "line 1"),
        ("{}", "line 1"),
        (json.dumps(recorded(1, 2.0, 1)), "between 0 and 1"),
        (json.dumps({**recorded(1, 0, 1), "outcomes": []}), "line 1"),
        (json.dumps({**recorded(1, 0, 1), "outcomes": {}}), "fewer than two models"),
    ],
)
def test_what_cannot_be_evaluated_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(CommandError, match=said):
        run("--data", str(path))


def test_mistakes_in_the_arguments_are_named(tmp_path: Path) -> None:
    data = str(written(tmp_path, [recorded(1, 0, 1)]))
    for arguments, said in (
        (("--data", str(tmp_path / "absent")), "absent"),
        (("--data", data, "--folds", "1"), "at least 2"),
        (("--data", data, "--resamples", "0"), "at least 1"),
        (("--data", data, "--weak", "nobody"), "there are large, small"),
        (("--data", data, "--prices", data), "no price list"),
    ):
        with pytest.raises(CommandError, match=said):
            run(*arguments)


def test_a_broken_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl.gz"
    path.write_bytes(gzip.compress(b"{}" * 500)[:-9])
    with pytest.raises(OutcomesError, match="broken"):
        list(read_outcomes([path]))
