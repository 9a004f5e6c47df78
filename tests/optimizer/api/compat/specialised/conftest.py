"""Providers of models that do one thing, and clients of a gateway before them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from analytics.models import RequestRecord
from tests.conftest import Start
from tests.fakes.server import FakeProvider
from tests.fakes.specialised import cohere_wire, jina_wire, specialised_wire
from tests.fakes.wires import KEY
from tests.optimizer.api.compat.conftest import on_a_port

IMAGE: dict[str, Any] = {"model": "gpt-image-2.5-flare", "prompt": "A lighthouse"}
# gpt-image-2.5: USD 5 a million tokens of text, 8 of images, 30 of images that are made.
IMAGE_COST = (10 * Decimal(5) + 40 * 8 + 400 * 30) / 1_000_000
SOUND = {"file": ("talk.mp3", b"sound", "audio/mpeg")}
CATALOGUE = """
[providers.jina]
wire = "openai"
base_url = "https://api.jina.ai/v1"
base_url_env = "JINA_BASE_URL"
key_env = ["JINA_API_KEY"]
lacks = ["text completions"]
regions = ["eu"]

[[models]]
kind = "rerank"
provider = "cohere"
id = "rerank-v3.5"
price = { search_units = "2" }

[[models]]
kind = "rerank"
provider = "jina"
id = "jina-reranker-v3"
price = { input = "0.05" }

[[models]]
kind = "image"
provider = "xai"
id = "grok-imagine-image"
price = { images = "20", "images/2k" = "70" }

[[models]]
kind = "image"
provider = "openai"
id = "shared-image"
price = { images = "10" }

[[models]]
kind = "image"
provider = "xai"
id = "shared-image"
price = { images = "10" }
"""


@pytest.fixture
async def fake(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    settings: Any,
) -> AsyncIterator[FakeProvider]:  # fmt: skip
    catalogue = tmp_path / "catalogue.toml"
    catalogue.write_text(CATALOGUE)
    settings.CATALOGUE_FILE = str(catalogue)
    async with (
        FakeProvider(specialised_wire) as openai_,
        FakeProvider(cohere_wire) as cohere,
        FakeProvider(jina_wire) as jina,
    ):
        for name, url in (
            ("OPENAI", openai_.url), ("GROQ", openai_.url), ("XAI", openai_.url),
            ("COHERE", f"{cohere.url}/compatibility/v1"), ("JINA", jina.url),
        ):  # fmt: skip
            monkeypatch.setenv(f"{name}_API_KEY", KEY)
            monkeypatch.setenv(f"{name}_BASE_URL", url)
        yield openai_


@pytest.fixture
async def sdk(fake: FakeProvider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        on_a_port() as address,
        openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0) as client,
    ):
        yield client


@pytest.fixture
async def http(fake: FakeProvider, start: Start) -> httpx.AsyncClient:
    return await start()


async def record_of(endpoint: str) -> RequestRecord:
    return await RequestRecord.objects.aget(endpoint=endpoint)
