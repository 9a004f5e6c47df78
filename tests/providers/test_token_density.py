"""What providers report corrects what is estimated for them."""

from __future__ import annotations

import pytest

from providers.chat import Chat
from providers.completion import Usage
from providers.token_density import TokenDensity
from providers.usage_estimates import charged_input, estimated_usage, lost_usage

CHAT = Chat.of_prompt("the of and to in is that it was for on are as with they " * 4, 50)
MODEL = ("p", "m")


def learned(times: float, answers: int = 20) -> TokenDensity:
    density = TokenDensity()
    for _ in range(answers):
        density.learn(*MODEL, CHAT, Usage(round(charged_input(CHAT) * times), 5))
    return density


def test_an_estimate_counts_as_often_as_reports_say() -> None:
    usage = Usage(charged_input(CHAT), 20, estimated=True)
    corrected = learned(1.5).corrected(*MODEL, CHAT, usage)
    assert corrected.input_tokens == pytest.approx(1.5 * usage.input_tokens, abs=1)
    assert corrected.output_tokens == 30
    assert corrected.estimated


def test_what_was_reported_or_allowed_stays() -> None:
    density = learned(1.5)
    reported = Usage(7, 20, estimated=True)
    assert density.corrected(*MODEL, CHAT, reported) == Usage(7, 30, estimated=True)
    lost = density.corrected(*MODEL, CHAT, lost_usage(CHAT), written=False)
    assert lost.output_tokens == 50


def test_no_corrected_answer_is_longer_than_allowed_unless_it_was_seen_to_be() -> None:
    density = learned(2.0)
    assert density.corrected(*MODEL, CHAT, Usage(7, 40, estimated=True)).output_tokens == 50
    assert density.corrected(*MODEL, CHAT, Usage(7, 90, estimated=True)).output_tokens == 180


@pytest.mark.parametrize(("times", "bound"), [(40.0, 3.0), (0.01, 0.5)])
def test_nonsense_is_bounded(times: float, bound: float) -> None:
    assert learned(times).of(*MODEL) == bound


def test_too_few_reports_and_other_models_correct_nothing() -> None:
    usage = estimated_usage(CHAT, ())
    assert learned(1.5, answers=19).corrected(*MODEL, CHAT, usage) is usage
    assert learned(1.5).corrected("p", "other", CHAT, usage) is usage


def test_older_reports_count_less() -> None:
    density, long = learned(1.5), Chat.of_prompt("word " * 200_000)
    for _ in range(16 * 40):
        density.learn(*MODEL, long, Usage(charged_input(long), 1))
    assert density.of(*MODEL) == pytest.approx(1.0, abs=0.01)


def test_many_names_take_no_memory() -> None:
    density = TokenDensity()
    for number in range(2_500):
        density.learn("p", f"m{number}", CHAT, Usage(1, 1))
    assert len(density._models) <= 1_000
