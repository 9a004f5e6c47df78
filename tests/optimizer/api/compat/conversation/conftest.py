"""The strict models behind the service, and conversations with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from tests.conftest import Start
from tests.factories import BudgetFactory
from tests.fakes.server import FakeProvider
from tests.fakes.strict.anthropic import AnthropicAuthor
from tests.fakes.strict.author import Author
from tests.fakes.strict.gemini import GeminiAuthor
from tests.fakes.strict.openai_chat import DeepSeekAuthor, OpenRouterAuthor
from tests.fakes.strict.responses import OpenAIAuthor
from tests.fakes.wires import KEY
from tests.optimizer.api.compat.conftest import on_a_port
from tests.optimizer.api.compat.conversation.clients import CLIENTS
from tests.optimizer.api.compat.conversation.conversation import Conversation, Partner

AUTHORS: dict[str, tuple[str, type[Author], str]] = {
    "openai": ("OPENAI", OpenAIAuthor, "gpt-6.1-terra"),
    "deepseek": ("DEEPSEEK", DeepSeekAuthor, "deepseek-v4-flash"),
    "openrouter": ("OPENROUTER", OpenRouterAuthor, "google/gemini-3-flash-preview"),
    "claude": ("ANTHROPIC", AnthropicAuthor, "claude-haiku-4-5"),
    "gemini": ("GEMINI", GeminiAuthor, "gemini-3.8-flash"),
}
# The catalogue has no model of OpenRouter that sees; a tag sends a request to one provider.
_CATALOGUE = """
[[models]]
provider = "openrouter"
id = "google/gemini-3-flash-preview"
tier = "moderate"
context_window = 1048576
capabilities = ["tools", "vision", "json"]
"""
_RULE = """
[[rules]]
name = "{provider} answers"
tags = ["{provider}"]
action = "force"
models = ["{provider}/{model}"]
"""


@pytest.fixture
async def partners(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> AsyncIterator[dict[str, Partner]]:
    """One strict model of each provider, in front of which the service will start."""
    rules = [
        _RULE.format(provider=provider, model=model) for provider, (_, _, model) in AUTHORS.items()
    ]
    (tmp_path / "rules.toml").write_text("".join(rules))
    (tmp_path / "catalogue.toml").write_text(_CATALOGUE)
    settings.RULES_FILE = str(tmp_path / "rules.toml")
    settings.CATALOGUE_FILE = str(tmp_path / "catalogue.toml")
    await sync_to_async(BudgetFactory)(limit=1000)
    async with AsyncExitStack() as stack:
        found = {}
        for provider, (variable, kind, model) in AUTHORS.items():
            author = kind(provider, model)
            fake = await stack.enter_async_context(FakeProvider(author.wire))
            monkeypatch.setenv(f"{variable}_API_KEY", KEY)
            monkeypatch.setenv(f"{variable}_BASE_URL", fake.url)
            found[provider] = Partner(author, fake)
        yield found


@pytest.fixture
async def address(partners: dict[str, Partner]) -> AsyncIterator[str]:
    """The service on a port, over the strict models."""
    async with on_a_port() as found:
        yield found


@pytest.fixture(params=[f"{api} {how}" for api in CLIENTS for how in ("whole", "streamed")])
async def conversation(
    request: pytest.FixtureRequest, partners: dict[str, Partner], start: Start
) -> Conversation:
    api, how = request.param.split()
    client = CLIENTS[api](await start(), "auto", streamed=how == "streamed")
    return Conversation(client, partners)
