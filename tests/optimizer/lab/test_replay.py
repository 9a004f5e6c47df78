"""Replaying, importing and training: the commands around recorded outcomes."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from analytics.ledger.savings import cost_savings
from analytics.models import (
    CachedResponse,
    Comparison,
    DailyTotal,
    Feedback,
    LearnedEvidence,
    RequestRecord,
    RoutingMetric,
)
from analytics.quality.evidence import evidence_load
from analytics.reports.report import routing_report
from optimizer.lab.price_list import read_price_list
from optimizer.wiring.build import get_services
from routing.learning.artifact import load_artifact
from routing.outcomes import Outcome
from tests.factories import RoutingMetricFactory
from tests.fakes.wires import KEY
from tests.routing.learning.made_outcomes import made_outcomes

PRICES = """
weak = { input = "0.5", output = "1" }
strong = { input = "10", output = "30" }
"""


def run(command: str, *arguments: object) -> str:
    out = io.StringIO()
    call_command(command, *map(str, arguments), stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    rows = [
        {
            "id": p.id,
            "benchmark": p.benchmark,
            "prompt": p.prompt,
            "outcomes": {
                model: {
                    "quality": o.quality,
                    "input_tokens": o.input_tokens,
                    "output_tokens": o.output_tokens,
                }
                for model, o in p.outcomes.items()
            },
        }
        for p in made_outcomes(80)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text(PRICES)
    return path


@pytest.mark.django_db(transaction=True)
class TestReplay:
    def test_it_is_routed_priced_recorded_rated_and_marked(self, data: Path, prices: Path) -> None:
        assert "Replayed 80 prompts" in run("replay", data, "--prices", prices, "--days", 10)
        requests = RequestRecord.objects.all()
        assert requests.filter(replayed=True, status="ok", provider="replay").count() == 80
        assert set(requests.values_list("strategy", flat=True)) == {"hybrid"}
        by_model = {"weak": Decimal("0.00006"), "strong": Decimal("0.0017")}
        for request in requests:
            assert request.cost == by_model[request.model]
        assert len({r.created_at.date() for r in requests}) >= 10
        assert Feedback.objects.filter(source="replay").count() == 80
        true = {p.prompt: p.outcomes for p in made_outcomes(80)}
        for verdict in Feedback.objects.select_related("request"):
            assert verdict.score == true[verdict.request.prompt][verdict.model].quality
        total = sum(day.cost for day in DailyTotal.objects.all())
        assert total == sum(request.cost for request in requests)
        assert CachedResponse.objects.count() == 0

    def test_all_of_it_can_be_taken_back(self, data: Path, prices: Path) -> None:
        RoutingMetricFactory()
        before = list(DailyTotal.objects.values())
        run("replay", data, "--prices", prices)
        assert "Removed 80" in run("replay", "--remove")
        assert RequestRecord.objects.count() == RoutingMetric.objects.count() == 1
        assert Feedback.objects.count() == LearnedEvidence.objects.count() == 0
        assert list(DailyTotal.objects.values()) == before

    def test_savings_are_those_of_the_file(self, data: Path, prices: Path) -> None:
        run("replay", data, "--prices", prices)
        first = RequestRecord.objects.earliest("created_at").created_at
        saved = cost_savings(first)
        price = {"weak": Decimal("0.00006"), "strong": Decimal("0.0017")}
        chosen = [r.model for r in RequestRecord.objects.all()]
        baseline = [m.baseline_model for m in RoutingMetric.objects.all()]
        assert saved["intelligent_cost"] == sum(price[model] for model in chosen)
        assert saved["baseline_cost"] == sum(price[model] for model in baseline)

    def test_a_baseline_of_one_s_own_is_compared_with(self, data: Path, prices: Path) -> None:
        run("replay", data, "--prices", prices, "--baseline", "strong", "--limit", 20)
        assert set(RoutingMetric.objects.values_list("baseline_model", flat=True)) == {"strong"}
        references = Comparison.objects.values_list("reference_model", flat=True)
        assert set(references) == {"strong"}
        assert len(references) == 20

    def test_without_prices_costs_are_unknown_not_zero(self, data: Path) -> None:
        run("replay", data, "--limit", 5, "--complexity")
        assert set(RequestRecord.objects.values_list("cost", "strategy")) == {(None, "complexity")}

    def test_mistakes_are_named(self, data: Path, tmp_path: Path) -> None:
        (tmp_path / "empty.jsonl").write_text("")
        (tmp_path / "odd.toml").write_text('weak = { input = "-1", output = "1" }')
        for arguments, said in (
            ((), "Give files"),
            ((data, "--remove"), "either"),
            ((data, "--speed", -1), "--speed"),
            ((data, "--limit", 0), "at least 1"),
            ((data, "--baseline", "other"), "must be one of the file's: strong, weak"),
            ((tmp_path / "absent",), "absent"),
            ((tmp_path / "empty.jsonl",), "no recorded prompts"),
            ((data, "--prices", tmp_path / "odd.toml"), "zero or more"),
        ):
            with pytest.raises(CommandError, match=said):
                run("replay", *arguments)
        assert RequestRecord.objects.count() == 0


@pytest.mark.django_db(transaction=True)
class TestImport:
    @pytest.fixture(autouse=True)
    def _keyed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)

    def test_outcomes_are_learned_from_once(self, data: Path) -> None:
        name = "weak=claude/claude-3-haiku-20240307"
        assert "Learned from 80 outcomes; 0" in run("import_outcomes", data, "--model", name)
        assert "Learned from 0 outcomes; 80" in run("import_outcomes", data, "--model", name)
        assert sum(known.count for known in evidence_load().values()) == 80
        assert {model for *_, model in evidence_load()} == {"claude-haiku-5-5"}
        learned = get_services().evidence.posterior().evidence
        assert sum(known.count for known in learned.values()) == 80
        assert "80 verdicts" in run("rebuild_evidence")

    def test_mistakes_are_named(self, data: Path) -> None:
        for name, said in (
            ("weak", "RECORDED=PROVIDER/MODEL"),
            ("weak=claude/nothing", "catalogue has no"),
            ("other=claude/claude-haiku-5-5", "there are strong, weak"),
        ):
            with pytest.raises(CommandError, match=said):
                run("import_outcomes", data, "--model", name)
        assert Feedback.objects.count() == 0


class TestTraining:
    def test_it_writes_an_artifact_that_says_what_it_is(self, data: Path, tmp_path: Path) -> None:
        said = run("train_router", "--data", data, "--output", tmp_path / "r.npz", "--folds", 3)
        assert "APGR" in said
        artifact = load_artifact(tmp_path / "r.npz")
        assert artifact.training["benchmarks"]["made"]["prompts"] == 80
        assert artifact.training["benchmarks"]["made"]["apgr_left_out"] is None
        assert list(artifact.training["data"]) == ["data.jsonl"]
        assert artifact.has_seen(made_outcomes(80)[0].prompt)
        out = run(
            "evaluate_router", "--data", data, "--router", "trained", "--resamples", 5,
            "--artifact", tmp_path / "r.npz", "--format", "json",
        )  # fmt: skip
        assert json.loads(out)[0]["trained_on"] == 80

    def test_mistakes_are_named(self, data: Path, tmp_path: Path) -> None:
        few = tmp_path / "few.jsonl"
        few.write_text("".join(data.read_text().splitlines(keepends=True)[:10]))
        for arguments, said in (
            (("--data", few), "too few"),
            (("--data", data, "--folds", 1), "at least 2"),
            (("--data", data, "--weak", "nobody"), "there are strong, weak"),
            (("--data", data, "--output", tmp_path / "no" / "r.npz"), "not a folder"),
        ):
            with pytest.raises(CommandError, match=said):
                run("train_router", *arguments)

    def test_a_picture_is_drawn(self, data: Path, prices: Path, tmp_path: Path) -> None:
        run(
            "evaluate_router", "--data", data, "--prices", prices, "--resamples", 5,
            "--router", "length", "learning", "oracle", "--plot", tmp_path / "p.png",
        )  # fmt: skip
        assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.django_db(transaction=True)
def test_a_damaged_artifact_is_named_and_routing_goes_on_without(
    tmp_path: Path, settings: object, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    damaged = tmp_path / "router.npz"
    damaged.write_bytes(b"nothing of the kind")
    settings.ROUTER_ARTIFACT = str(damaged)  # type: ignore[attr-defined]
    decision = get_services().routing.previews.decide("What is the capital of France?")
    assert decision.strategy_used == "hybrid_fallback"
    assert "router.npz" in caplog.text
    assert "without a trained predictor" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_the_report_says_what_the_file_says(data: Path, prices: Path) -> None:
    """The file alone, and who answered, give the same money to the last place and quality."""
    run("replay", data, "--prices", prices, "--days", 2)
    recorded = {p.prompt: p.outcomes for p in made_outcomes(80)}
    price = read_price_list(prices)

    def cost(model: str, outcome: Outcome) -> Decimal:
        of_input, of_output = price[model]
        tokens = of_input * outcome.input_tokens + of_output * outcome.output_tokens
        return tokens / 1_000_000

    spent = baseline = Decimal(0)
    gained = 0.0
    for request in RequestRecord.objects.select_related("decision"):
        outcomes = recorded[request.prompt]
        other = request.decision.baseline_model
        spent += cost(request.model, outcomes[request.model])
        baseline += cost(other, outcomes[request.model])
        gained += outcomes[request.model].quality - outcomes[other].quality
    report = routing_report(7)
    assert report["savings"]["intelligent_cost"] == spent
    assert report["savings"]["baseline_cost"] == baseline
    assert report["savings"]["total_saved"] == baseline - spent
    assert report["quality"]["difference"]["mean"] == pytest.approx(gained / 80, abs=1e-6)
    assert report["quality"]["difference"]["count"] == 80
    assert "Removed 80" in run("replay", "--remove")
    assert not Comparison.objects.exists()
