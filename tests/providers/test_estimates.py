"""Estimates of tokens where no provider reports a count."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha512

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.chat import Chat
from providers.storable import storable_text
from providers.token_bounds import most_input_tokens
from providers.token_estimates import estimate_tokens

# Text, and the tokens it has for o200k_base and for cl100k_base.
PROSE = {
    "Chinese": ("巴黎是法国的首都和最大城市，位于塞纳河畔。", 15, 29),
    "Japanese": ("東京は日本の首都であり、世界最大級の都市の一つです。", 15, 29),
    "Korean": ("서울은 대한민국의 수도이며 가장 큰 도시입니다.", 14, 28),
    "Thai": ("กรุงเทพมหานครเป็นเมืองหลวงและเมืองที่ใหญ่ที่สุดของประเทศไทย", 17, 61),
    "Hindi": ("दिल्ली भारत की राजधानी है और देश के सबसे बड़े शहरों में से एक है।", 18, 75),
    "Arabic": ("القاهرة هي عاصمة جمهورية مصر العربية وأكبر مدنها.", 13, 35),
    "Russian": ("Москва является столицей Российской Федерации и крупнейшим городом.", 13, 32),
    "emoji": ("😀🎉🔥🚀🥳", 5, 14),
}


@pytest.mark.parametrize("name", PROSE)
def test_an_estimate_lies_between_what_new_and_old_tokenizers_count(name: str) -> None:
    text, least, most = PROSE[name]
    assert least <= estimate_tokens(text) <= most


def test_a_chinese_character_is_about_a_token() -> None:
    # bitrouter/bitrouter#537, BerriAI/litellm#39893
    text = "巴黎是法国的首都" * 100
    assert 0.55 * len(text) <= estimate_tokens(text) <= 1.4 * len(text)


# Texts of ASCII, and the tokens that o200k_base and cl100k_base count in them.
ASCII = {
    "prose": (
        ("The committee met on Tuesday to discuss the budget for the coming year. Several members"
        " raised concerns about the cost of the new library, but most agreed that it is needed."),
        34,
        34,
    ),
    "a question": (
        "A farmer has 17 sheep, and all but 9 run away. How many are left? Explain each step.",
        24,
        24,
    ),
    "code": (
        """def moving_average(values, window):
    total = sum(values[:window])
    result = [total / window]
    for old, new in zip(values, values[window:]):
        total += new - old
        result.append(total / window)
    return result
""",
        55,
        55,
    ),
    "JSON": (
        json.dumps([{"id": n, "name": f"item-{n}", "price": n * 1.25, "tags": ["new", "sale"]}
                    for n in range(8)]),
        257,
        257,
    ),
    "JSON with indents": (
        json.dumps({"customer": {"name": "Ada Example", "city": "Springfield"},
                    "orders": [101, 102, 103]}, indent=2),
        44,
        44,
    ),
    "a table": (
        "\n".join(",".join(str(round(row * col * 7.31, 2)) for col in range(1, 7))
                  for row in range(3, 11)),
        191,
        191,
    ),
    "a log": (
        "\n".join(f"2026-03-{day:02d} 08:15:{day:02d},{day * 137} INFO service: request took"
                  f" {day * 3.7:.1f} ms" for day in range(1, 8)),
        174,
        174,
    ),
    "markup": (
        '<table class="wide"><tr><td>Apples</td><td>$1.20</td></tr><tr><td>Pears</td></tr></table>',
        36,
        36,
    ),
    "base64": (b64encode(sha512(b"a picture").digest() * 3).decode(), 169, 182),
    "hexadecimal digits": (sha512(b"a file").hexdigest(), 81, 80),
}  # fmt: skip


@pytest.mark.parametrize("name", ASCII)
def test_an_estimate_of_ascii_is_within_a_fifth_of_what_tokenizers_count(name: str) -> None:
    text, new, old = ASCII[name]
    assert 0.8 * min(new, old) <= estimate_tokens(text) <= 1.25 * max(new, old)


@given(st.text(st.characters(max_codepoint=127)), st.text(st.characters(max_codepoint=127)))
def test_more_text_has_no_fewer_tokens(one: str, other: str) -> None:
    assert estimate_tokens(one + " " + other) >= max(map(estimate_tokens, (one, other))) - 1


@given(st.text(st.characters()))
def test_no_estimate_is_above_the_bound(text: str) -> None:
    assert 0 <= estimate_tokens(text) <= max(len(text.encode("utf-8", "surrogatepass")), 0)
    chat = Chat.of_prompt(text)
    assert chat.estimated_tokens() <= most_input_tokens(chat)


def test_a_very_long_text_has_as_many_tokens_as_its_parts() -> None:
    part = "What is a river? Ein Fluß, 河流. " * 9_000
    times = 4
    assert estimate_tokens(part * times) == pytest.approx(times * estimate_tokens(part), rel=1e-3)


@pytest.mark.parametrize("at", [0, (1 << 18) - 1, 1 << 18, 700_000, 999_999])
def test_what_cannot_be_stored_is_replaced_wherever_it_stands(at: int) -> None:
    text = "a" * at + "\ud800" + "b" * (999_999 - at)
    assert storable_text(text) == text.replace("\ud800", "\ufffd")
    assert storable_text(text.replace("\ud800", "c")) == text.replace("\ud800", "c")
