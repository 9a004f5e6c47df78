"""This service chooses the model, and the model changes between the turns."""

from __future__ import annotations

import pytest

from tests.optimizer.api.compat.conversation.conftest import AUTHORS
from tests.optimizer.api.compat.conversation.conversation import Conversation
from tests.optimizer.api.compat.conversation.story import BLIND, tell

ORDER = list(AUTHORS)
SEEING = [provider for provider in ORDER if provider not in BLIND]


@pytest.mark.parametrize("first", range(len(ORDER)), ids=ORDER)
async def test_ten_turns_with_another_model_each(conversation: Conversation, first: int) -> None:
    def provider_of(number: int) -> str:
        # Once there is a picture, only models that see can go on.
        order = ORDER if number < 8 else SEEING
        return order[(first + number - 1) % len(order)]

    await tell(conversation, provider_of, marks=True)


@pytest.mark.parametrize("first", range(len(SEEING)), ids=SEEING)
async def test_a_model_gets_back_what_it_thought_when_it_returns(
    conversation: Conversation, first: int
) -> None:
    def provider_of(number: int) -> str:
        # Two models by turns, so that each finds its own calls and thoughts again.
        return SEEING[(first + number // 2 % 2) % len(SEEING)]

    await tell(conversation, provider_of, marks=True)
