"""A prompt is as hard in one language as in another."""

from __future__ import annotations

import pytest

from routing.complexity import score_complexity
from routing.languages.latin_script import LATIN_SCRIPT
from routing.languages.other_scripts import OTHER_SCRIPTS
from routing.languages.vocabulary import KINDS, NO_WORK
from routing.patterns import QueryPatternAnalyzer
from routing.prompt_text import PromptText
from tests.routing.languages.prompts import CAPITAL, DEMANDING, SMALL_TALK, UNKNOWN

ENGLISH = score_complexity(DEMANDING["en"])
pattern_of = QueryPatternAnalyzer().analyze


@pytest.mark.parametrize("language", DEMANDING)
def test_demanding_work_is_as_hard_in_every_language(language: str) -> None:
    scored = score_complexity(DEMANDING[language])
    assert scored.tier in {"moderate", "complex"}
    assert scored.score == pytest.approx(ENGLISH.score, abs=0.15)
    assert pattern_of(DEMANDING[language]) in {"analysis", "reasoning"}


@pytest.mark.parametrize("language", UNKNOWN)
def test_demanding_work_is_seen_without_a_vocabulary(language: str) -> None:
    assert score_complexity(UNKNOWN[language]).tier != "simple"


@pytest.mark.parametrize("prompt", [*CAPITAL.values(), *SMALL_TALK])
def test_a_simple_question_is_simple_in_every_language(prompt: str) -> None:
    assert score_complexity(prompt).tier == "simple"


@pytest.mark.parametrize(
    ("glued", "apart"),
    [
        ("用docker部署database并优化index", "用 docker 部署 database 并优化 index"),
        ("이database를optimize해줘", "이 database 를 optimize 해줘"),
        ("このalgorithmを説明して", "この algorithm を 説明して"),
        ("напиши functionна python3", "напиши function на python3"),
        ("เขียนclassสำหรับapi", "เขียน class สำหรับ api"),
    ],
)
def test_a_word_ends_where_another_script_begins(glued: str, apart: str) -> None:
    assert score_complexity(glued).tier == score_complexity(apart).tier
    one, other = score_complexity(glued).parts, score_complexity(apart).parts
    assert {**one, "length": 0} == {**other, "length": 0}


@pytest.mark.parametrize(
    ("inside", "word"),
    [
        ("What is a therapist?", "api"),
        ("Where is the dashboard?", "dash"),
        ("Are we within depth?", "in depth"),
        ("レコードはどこ", "コード"),
        ("计算机在哪里", "计算"),
        ("다시 시작", "시"),
        ("Расскажи о закодированном", "код"),
    ],
)
def test_a_term_within_another_word_is_none(inside: str, word: str) -> None:
    scored = score_complexity(inside)
    assert word in inside.lower()
    assert sum(scored.parts[p] for p in ("demanding_work", "code", "mathematics")) == 0
    assert pattern_of(inside) in {"factual", "general"}


@pytest.mark.parametrize("name", ["C++", "C#", "c++17", "F#"])
def test_languages_with_a_sign_in_their_name_are_code(name: str) -> None:
    scored = score_complexity(f"What is {name}?")
    assert scored.parts["code"] > 0
    assert scored.tier == "simple"


def test_typing_without_accents_or_in_another_form_changes_nothing() -> None:
    pairs = [
        ("Diseña el algoritmo y demuéstralo", "Disen\u0303a el algoritmo y demue\u0301stralo"),
        ("Optimización", "optimizacion"),
        ("صمّم خوارزمية", "صمم خوارزميه"),
        ("Распределённый алгоритм", "РАСПРЕДЕЛЕННЫЙ АЛГОРИТМ"),
        ("用API", "用ＡＰＩ"),
    ]
    for one, other in pairs:
        first, second = score_complexity(one).parts, score_complexity(other).parts
        assert first["demanding_work"] + first["code"] > 0
        assert {**first, "length": 0} == {**second, "length": 0}


def test_the_words_of_indic_and_thai_text_are_whole() -> None:
    words = PromptText.read("एक डिज़ाइन करें। 用docker部署 l'été").words
    assert words == ("एक", "डिज़ाइन", "करें", "用", "docker", "部署", "l'été")


@pytest.mark.parametrize("language", [*LATIN_SCRIPT, *OTHER_SCRIPTS])
def test_every_language_has_only_known_kinds(language: str) -> None:
    kinds = (LATIN_SCRIPT | OTHER_SCRIPTS)[language]
    assert set(kinds) <= {*KINDS, NO_WORK}


@pytest.mark.parametrize("unit", ["证明并设计。", "докажи ", "صمم ", "ก" * 50, "ß", "'", "д’"])
def test_a_megabyte_in_any_script_has_a_score(unit: str) -> None:
    scored = score_complexity(unit * (1_000_000 // len(unit)))
    assert 0 <= scored.score <= 1
