"""Published results of models: the shipped file, its errors, and the ability that follows."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path

import pytest

from providers.abilities import (
    AbilitiesError,
    AbilityIndex,
    AbilityLine,
    AbilityTable,
    PublishedResult,
)
from providers.ability_files import abilities_text, load_abilities, read_abilities
from providers.catalogue import load_catalogue

LINE = AbilityLine(intercept=1.0, slope=0.1, center=50.0, spread=200.0, error=0.5, models=10)
DAY = date(2026, 11, 29)
PAGE = "https://example.org/page"
GOOD = f"""
[scale]
weak = -0.4
strong = 1.6

[indices.score]
skill = "intelligence"
line = {{ intercept = 1, slope = 0.1, center = 50, spread = 200, error = 0.5, models = 10 }}

[[models]]
name = "some-model"
results = [{{ index = "score", value = 60, date = 2026-11-29, source = "{PAGE}" }}]
"""


def _result(model: str, value: float, *, effort: str = "", index: str = "score") -> PublishedResult:
    return PublishedResult(model, index, value, PAGE, DAY, effort)


def _table(*results: PublishedResult, line: AbilityLine | None = LINE) -> AbilityTable:
    indices = {
        "score": AbilityIndex("score", "Score", "intelligence", "points", line),
        "exam": AbilityIndex("exam", "Exam", "knowledge", "percent"),
    }
    return AbilityTable.of(-0.4, 1.6, indices, results)


# Nobody whose page is known publishes results of these; they are placed by their tier.
WITHOUT_RESULTS = {
    "qwen3.8-flash", "MiniMax-M2.7", "kimi-k2.6", "command-r7b-12-2024", "command-a-03-2025",
    "global.amazon.nova-2-lite-v1:0",
}  # fmt: skip


def test_the_shipped_file_has_a_result_for_all_chat_models_but_a_few() -> None:
    abilities = load_abilities()

    absent = [m.id for m in load_catalogue().models if not abilities.results_of(m.id)]

    assert set(absent) == WITHOUT_RESULTS


def test_every_shipped_result_has_a_source_and_a_date_of_the_past() -> None:
    for result in load_abilities().results:
        assert result.source.startswith("https://")
        assert date(2024, 1, 1) <= result.day <= date(2026, 11, 29)


def test_a_model_is_the_same_at_every_provider_and_in_every_spelling() -> None:
    abilities = _table(_result("claude-opus-5-5", 60.0))

    for name in ("claude-opus-5-5", "anthropic/claude-opus-5.5", "Claude-Opus-5.5:batch"):
        assert abilities.ability(name) is not None
    assert abilities.ability("anthropic/claude-opus-5.5-20260922") is not None
    for name in (
        "global.anthropic.claude-opus-5-5", "eu.anthropic.claude-opus-5-5-20260922-v1:0",
        "anthropic.claude-opus-5-5-v1:0", "claude-opus-5-5@20260922",
    ):  # fmt: skip
        assert abilities.ability(name) is not None, name
    assert abilities.ability("claude-opus-5") is None


def test_a_dated_edition_with_results_of_its_own_does_not_take_those_of_the_model() -> None:
    abilities = _table(_result("some", 40.0), _result("some-2024-05-13", 60.0))

    assert [r.value for r in abilities.results_of("some-2024-05-13")] == [60.0]
    assert [r.value for r in abilities.results_of("some-2024-11-20")] == [40.0]


def test_ability_lies_on_the_line_and_is_less_certain_far_from_the_models_of_the_fit() -> None:
    near = _table(_result("near", 50.0)).ability("near")
    far = _table(_result("far", 80.0)).ability("far")

    assert near is not None
    assert far is not None
    assert near.mean == pytest.approx(1.0)
    assert near.width == pytest.approx(0.5 * math.sqrt(1.1))
    assert far.mean == pytest.approx(4.0)
    assert far.width == pytest.approx(0.5 * math.sqrt(1.1 + 900 / 200))


def test_several_indices_count_by_their_precision_and_do_not_narrow_the_width() -> None:
    coarse = AbilityLine(3.0, 0.1, 50.0, 200.0, 1.0, 10)
    indices = {
        "score": AbilityIndex("score", "Score", "intelligence", "points", LINE),
        "rough": AbilityIndex("rough", "Rough", "coding", "points", coarse),
    }
    results = (_result("m", 50.0), _result("m", 50.0, index="rough"))
    ability = AbilityTable.of(-0.4, 1.6, indices, results).ability("m")

    assert ability is not None
    assert ability.mean == pytest.approx((4 * 1.0 + 1 * 3.0) / 5)
    assert 0.5 < ability.width < 1.1


def test_a_share_is_mapped_through_its_log_odds() -> None:
    exam = AbilityIndex("exam", "Exam", "knowledge", "percent", LINE)

    assert exam.x(50.0) == pytest.approx(0.0)
    assert exam.x(90.0) == pytest.approx(math.log(9))
    assert math.isfinite(exam.x(100.0))


def test_an_index_without_a_line_decides_nothing() -> None:
    assert _table(_result("m", 50.0), line=None).ability("m") is None


def test_each_effort_is_an_ability_of_its_own() -> None:
    abilities = _table(
        _result("m", 50.0), _result("m", 40.0, effort="low"), _result("m", 70.0, effort="high")
    )

    means = [
        ability.mean
        for effort in ("low", "", "high")
        if (ability := abilities.ability("m", effort)) is not None
    ]

    assert means == pytest.approx([0.0, 1.0, 3.0])
    assert abilities.ability("m", "medium") == abilities.ability("m")
    assert abilities.efforts("m") == ("low", "high")


def test_the_other_table_wins_where_both_have_a_result() -> None:
    old = _table(_result("kept", 50.0), _result("some/changed", 50.0))
    new = _table(_result("changed", 70.0), _result("added", 60.0))

    values = {r.model: r.value for r in old.overlaid(new).results}

    assert values == {"kept": 50.0, "changed": 70.0, "added": 60.0}


def test_the_operators_file_wins_over_the_shipped_one(tmp_path: Path) -> None:
    file = tmp_path / "abilities.toml"
    file.write_text(GOOD.replace("some-model", "gpt-6-luna"))

    abilities = load_abilities(file)

    assert {r.index for r in abilities.results_of("gpt-6-luna")} > {"score", "whatmodel"}
    assert load_abilities(tmp_path / "none.toml") == load_abilities()


def test_a_written_table_reads_back_the_same(tmp_path: Path) -> None:
    table = _table(_result('odd "name" \\', 50.5, effort="max"), _result("m", 10.0, index="exam"))
    file = tmp_path / "abilities.toml"
    file.write_text(abilities_text(table, "One line.\n\nAnother."))

    assert file.read_text().startswith("# One line.\n#\n# Another.\n")
    assert read_abilities(file) == table


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("weak = -0.4", "weak = 2", "weak must be below strong"),
        ("weak = -0.4", "", "weak: it must be a number"),
        ('skill = "intelligence"', 'skill = "charm"', "skill must be one of intelligence"),
        ("spread = 200", "spread = 0", "must be above zero"),
        ("error = 0.5, ", "", "line needs intercept"),
        ('name = "some-model"', "", "model 1 needs a name"),
        ('index = "score"', 'index = "other"', "some-model: index must be one of score"),
        ("value = 60", "value = nan", "some-model, score: it must be a number"),
        ("value = 60", 'value = 60, effort = "huge"', "effort must be one of none"),
        ("date = 2026-11-29", 'date = "today"', "date must be a date"),
        (PAGE, "a friend", "source must be the address of a page"),
        ("[[models]]", "[models]", "models: it must be a list of tables"),
        ("[scale]", "[scale", "Expected ']'"),
    ],
)
def test_an_error_names_the_file_and_the_entry(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    file = tmp_path / "abilities.toml"
    file.write_text(GOOD.replace(old, new))

    with pytest.raises(AbilitiesError, match="abilities.toml") as caught:
        read_abilities(file)

    assert complaint in str(caught.value)


def test_a_share_above_a_hundred_and_a_second_result_of_an_index_are_errors(tmp_path: Path) -> None:
    file = tmp_path / "abilities.toml"
    percent = GOOD.replace('"intelligence"', '"intelligence"\nscale = "percent"')
    file.write_text(percent.replace("value = 60", "value = 160"))
    with pytest.raises(AbilitiesError, match="from 0 to 100"):
        read_abilities(file)

    row = GOOD[GOOD.index("{ index") : GOOD.index("]", GOOD.index("{ index"))]
    file.write_text(GOOD.replace(row, f"{row}, {row}"))
    with pytest.raises(AbilitiesError, match="two results of score"):
        read_abilities(file)
