"""The APIs that clients speak, by name."""

from __future__ import annotations

from importlib.util import find_spec

from tests.optimizer.api.compat.conversation.chat_client import ChatClient
from tests.optimizer.api.compat.conversation.client import ConversationClient
from tests.optimizer.api.compat.conversation.gemini_client import GeminiClient
from tests.optimizer.api.compat.conversation.messages_client import MessagesClient
from tests.optimizer.api.compat.conversation.responses_client import ResponsesClient

CLIENTS: dict[str, type[ConversationClient]] = {
    "chat": ChatClient,
    "responses": ResponsesClient,
    "messages": MessagesClient,
}
if find_spec("optimizer.api.gemini"):
    CLIENTS["gemini"] = GeminiClient
