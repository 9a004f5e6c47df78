"""The client names the model: each API with each provider's wire, whole and streamed."""

from __future__ import annotations

import pytest

from tests.optimizer.api.compat.conversation.conftest import AUTHORS
from tests.optimizer.api.compat.conversation.conversation import Conversation
from tests.optimizer.api.compat.conversation.story import tell


@pytest.mark.parametrize("provider", list(AUTHORS))
async def test_ten_turns_with_one_model(conversation: Conversation, provider: str) -> None:
    conversation.client.model = f"{provider}/{AUTHORS[provider][2]}"
    # On its own wire a request goes out as it came, and only OpenRouter takes marks in a chat.
    chat = conversation.client.path.endswith("chat/completions")
    marks = not chat or provider not in ("openai", "deepseek")
    await tell(conversation, lambda number: provider, marks=marks)
