"""What is learned from recorded outcomes, and how it is kept."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.analysis import analyze_prompt
from routing.evaluation.training_report import mix_metrics
from routing.learning.artifact import (
    SHIPPED,
    Artifact,
    ArtifactError,
    load_artifact,
    prompt_hashes,
    save_artifact,
)
from routing.learning.domains import DOMAINS
from routing.learning.features import NAMES, structure, terms
from routing.learning.posterior import expit
from routing.learning.predictor import logit_of_tier, quality_gap
from routing.outcomes import Outcome, OutcomesError, RecordedPrompt
from routing.prompt_text import PromptText
from routing.training.cross_fitting import Learners
from routing.training.families import gradable
from routing.training.train import TrainingResult, examples_of, train
from tests.routing.learning.made_outcomes import made_outcomes


@pytest.fixture(scope="module")
def trained() -> TrainingResult:
    return train(made_outcomes(), folds=3)


def anchors(trained: TrainingResult, prompt: str) -> tuple[float, float]:
    analysis = analyze_prompt(prompt)
    assert analysis.text is not None
    return trained.predictor.anchors(analysis.text, analysis.pattern)


def test_the_gap_is_wide_where_only_the_strong_model_answers(trained: TrainingResult) -> None:
    fresh = made_outcomes(count=40, seed=7)
    hard = [quality_gap(anchors(trained, p.prompt)) for p in fresh[0::2]]
    easy = [quality_gap(anchors(trained, p.prompt)) for p in fresh[1::2]]
    assert min(hard) > max(easy)


def test_predicted_qualities_recover_the_true_ones(trained: TrainingResult) -> None:
    fresh = made_outcomes(count=200, seed=8)
    for tier, hard, easy in (("simple", 0.15, 0.9), ("complex", 0.85, 0.9)):
        likely = [expit(logit_of_tier(anchors(trained, p.prompt), tier)) for p in fresh]
        assert np.mean(likely[0::2]) == pytest.approx(hard, abs=0.15)
        assert np.mean(likely[1::2]) == pytest.approx(easy, abs=0.15)


def test_a_moderate_model_lies_between_the_two(trained: TrainingResult) -> None:
    found = anchors(trained, made_outcomes()[0].prompt)
    simple, moderate, complex_ = (
        logit_of_tier(found, t) for t in ("simple", "moderate", "complex")
    )
    assert simple < moderate < complex_


def test_held_out_logits_come_from_prompts_not_trained_on(trained: TrainingResult) -> None:
    # With outcomes that belong to nothing in the prompt there is nothing to hold out.
    draw = np.random.default_rng(3)
    noise = [
        RecordedPrompt(
            p.id, p.benchmark, p.prompt,
            {m: Outcome(float(draw.integers(2)), 1, 1) for m in ("weak", "strong")},
        )
        for p in made_outcomes()
    ]  # fmt: skip
    result = train(noise, folds=3)
    for logits, quality in ((result.held_out, result.quality),):
        assert abs(np.corrcoef(logits[:, 0], quality[:, 0])[0, 1]) < 0.25
    assert np.corrcoef(trained.held_out[:, 0], trained.quality[:, 0])[0, 1] > 0.5


def test_equal_data_and_seed_give_an_equal_file(trained: TrainingResult, tmp_path: Path) -> None:
    again = train(made_outcomes(), folds=3)
    files = []
    for number, result in enumerate((trained, again)):
        files.append(tmp_path / str(number))
        save_artifact(artifact(result), files[-1])
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_second_benchmark_is_left_out_in_turn() -> None:
    result = train(made_outcomes(120) + made_outcomes(120, 1, "other"), folds=3)
    assert np.isfinite(result.left_out).all()
    assert np.corrcoef(result.left_out[:, 0], result.quality[:, 0])[0, 1] > 0.4


def test_a_model_that_is_always_right_can_be_learned_from() -> None:
    sure = [
        RecordedPrompt(p.id, p.benchmark, p.prompt, {**p.outcomes, "strong": Outcome(1.0, 1, 1)})
        for p in made_outcomes()
    ]
    assert expit(anchors(train(sure, folds=3), "Anything at all?")[1]) > 0.95


def test_too_little_to_learn_from_is_refused() -> None:
    with pytest.raises(OutcomesError, match="too few"):
        train(made_outcomes(20))


def test_one_prompt_is_predicted_as_all_of_them_are() -> None:
    """Training predicts many prompts at once, a request one: both must be the same."""
    prompts = made_outcomes(120) + made_outcomes(120, 1, "other")
    examples = examples_of(prompts)
    learners = Learners.fit(examples)
    predicted = learners.predict(examples)
    for i in (0, 7, 130, 239):
        standard = learners.linear.standard(examples.x[i])
        buckets, value = learners.words.weighted(PromptText.read(prompts[i].prompt))
        place = learners.ground.place(standard, buckets, value)
        one = [
            learners.linear.logits(standard),
            learners.words.logits(buckets, value),
            learners.experts.logits(standard, place.shares),
        ]
        np.testing.assert_allclose(one, predicted.parts[i], atol=1e-5)
        np.testing.assert_allclose([place.score, place.distance], predicted.signs[i], atol=1e-3)
        assert place.shares.sum() == pytest.approx(1)


def artifact(trained: TrainingResult) -> Artifact:
    seen = prompt_hashes(p.prompt for p in made_outcomes())
    return Artifact(trained.predictor, {"seed": 0, "data": {"made": "x"}}, seen)


class TestArtifact:
    def test_it_comes_back_as_it_was(self, trained: TrainingResult, tmp_path: Path) -> None:
        save_artifact(artifact(trained), tmp_path / "a.npz")
        loaded = load_artifact(tmp_path / "a.npz")
        text = PromptText.read("Tell me about the river.")
        assert loaded.predictor.anchors(text, "general") == trained.predictor.anchors(
            text, "general"
        )
        assert loaded.training == {"seed": 0, "data": {"made": "x"}}
        assert loaded.has_seen(made_outcomes()[3].prompt)
        assert not loaded.has_seen("Never seen before.")

    def test_it_holds_no_word_of_a_prompt(self, trained: TrainingResult, tmp_path: Path) -> None:
        save_artifact(artifact(trained), tmp_path / "a.npz")
        with zipfile.ZipFile(tmp_path / "a.npz") as archive:
            whole = b"".join(archive.read(name) for name in archive.namelist())
        assert b"theorem" not in whole

    @pytest.mark.parametrize("cut", [0, 10, 1000, -1, -300])
    def test_a_cut_file_is_refused(self, trained: TrainingResult, tmp_path: Path, cut: int) -> None:
        save_artifact(artifact(trained), tmp_path / "a.npz")
        whole = (tmp_path / "a.npz").read_bytes()
        (tmp_path / "a.npz").write_bytes(whole[:cut])
        with pytest.raises(ArtifactError, match=r"a\.npz"):
            load_artifact(tmp_path / "a.npz")

    @settings(max_examples=25, deadline=None)
    @given(st.data())
    def test_a_damaged_file_is_refused_or_unharmed(self, data: st.DataObject) -> None:
        whole = bytearray(SHIPPED.read_bytes())
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] ^= data.draw(st.integers(1, 255))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "damaged.npz"
            path.write_bytes(whole)
            try:
                loaded = load_artifact(path)
            except ArtifactError:
                return
        assert loaded.predictor.prior_strength == load_artifact(SHIPPED).predictor.prior_strength

    def test_damage_where_an_array_is_described_is_refused(self, tmp_path: Path) -> None:
        """NumPy reads that place as a Python literal and fails in ways of its own."""
        path = tmp_path / "damaged.npz"
        with np.load(SHIPPED) as archive:
            np.savez(path, **{name: archive[name] for name in archive.files})
        whole = path.read_bytes()
        path.write_bytes(whole.replace(b"'<u8', 'fortran_order'", b"'<u8', ((((tran_order'"))
        assert path.read_bytes() != whole
        with pytest.raises(ArtifactError, match=r"damaged\.npz"):
            load_artifact(path)

    @pytest.mark.parametrize(
        ("change", "said"), [({"format": 99}, "format 99"), ({"features": "x"}, "features")]
    )
    def test_another_version_s_file_is_refused(
        self, trained: TrainingResult, tmp_path: Path, change: dict, said: str
    ) -> None:
        path = tmp_path / "a.npz"
        save_artifact(artifact(trained), path)
        with np.load(path) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = {**json.loads(arrays.pop("header").tobytes()), **change}
        text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
        np.savez(path, header=text, **arrays)
        with pytest.raises(ArtifactError, match=said):
            load_artifact(path)

    def test_other_files_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match="no such file"):
            load_artifact(tmp_path / "absent")
        np.savez(tmp_path / "other.npz", something=np.zeros(3))
        with pytest.raises(ArtifactError, match="not a predictor"):
            load_artifact(tmp_path / "other.npz")

    def test_what_ships_is_small_and_says_what_it_is(self) -> None:
        shipped = load_artifact(SHIPPED)
        assert SHIPPED.stat().st_size < 5_000_000
        assert {"gsm8k", "mmlu", "mmlu_pro", "korbench"} < set(shipped.training["benchmarks"])
        assert all(len(digest) == 64 for digest in shipped.training["data"].values())
        figures = shipped.training["benchmarks"]["mmlu"]
        assert figures["apgr_held_out"] > 0.55
        assert figures["calibration_error_weak"] < 0.1


@given(st.text(max_size=3000))
def test_every_text_has_finite_features(text: str) -> None:
    read = PromptText.read(text)
    x = structure(read)
    assert x.shape == (len(NAMES),)
    assert np.isfinite(x).all()
    buckets, counts = terms(read)
    assert (np.diff(buckets) > 0).all()
    assert counts.sum() == max(0, 2 * len(read.words) - 1)


def test_a_judges_preference_is_not_trained_on() -> None:
    both = made_outcomes(60) + made_outcomes(60, 1, "alpaca_eval")
    assert {p.benchmark for p in gradable(both)} == {"made"}
    with pytest.raises(OutcomesError, match=r"alpaca_eval.*preference"):
        gradable(made_outcomes(60, 1, "alpaca_eval"))
    assert gradable([]) == []


def test_each_kind_has_the_domains_of_its_prompts() -> None:
    maths, code = made_outcomes(60, 0, "gsm8k"), made_outcomes(60, 1, "mbpp")
    predictor = train(maths + code, folds=3).predictor
    shares = dict(zip(DOMAINS, predictor.ground.domains.T.tolist(), strict=True))
    assert shares["maths"] == [1.0, 0.0]
    assert shares["code"] == [0.0, 1.0]


def test_the_mix_counts_each_benchmark_alike(trained: TrainingResult) -> None:
    prompts = made_outcomes(120) + made_outcomes(60, 1, "other")
    mix = mix_metrics(prompts, train(prompts, folds=3))
    assert mix["apgr_held_out"] > 0.6
    assert 0 < mix["apgr_left_out_within_families"] < 1.5
    assert 0 <= mix["calibration_error_weak_left_out"] < 0.3
    alone = mix_metrics(made_outcomes(), trained)
    assert alone["apgr_left_out_within_families"] is None
    assert alone["calibration_error_weak_left_out"] is None
