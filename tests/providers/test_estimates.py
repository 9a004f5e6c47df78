"""Estimates of tokens where no provider reports a count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.chat import Chat
from providers.completion import most_input_tokens
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


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_four_characters_a_token_rounded_up(text: str) -> None:
    assert estimate_tokens(text) == -(-len(text) // 4)


@given(st.text(st.characters()))
def test_no_estimate_is_above_the_bound(text: str) -> None:
    assert 0 <= estimate_tokens(text) <= max(len(text.encode("utf-8", "surrogatepass")), 0)
    chat = Chat.of_prompt(text)
    assert chat.estimated_tokens() <= most_input_tokens(chat)
