"""What a worker has imported after its first answers, as most of its memory is imported code."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.server import FakeProvider
from tests.fakes.wires import anthropic_wire
from tests.running import Running, client_of, own_database

# Packages that a worker needs only for the admin, reports, commands, the OpenAPI document, another
# database, a shared cache, other tasks, or what operators turn on.
UNNEEDED = (
    "PIL", "boto3", "botocore", "celery", "charset_normalizer", "cryptography",
    "django.contrib.postgres.fields", "django.test", "drf_spectacular.openapi", "genai_prices",
    "httpx._main", "httpx2", "huggingface_hub", "jinja2", "jsonschema", "llama_cpp", "markdown",
    "matplotlib", "mozilla_django_oidc", "numpy.random", "openpyxl", "opentelemetry", "pandas",
    "presidio_analyzer", "psycopg", "pyarrow", "pydantic", "pygments", "redis", "reportlab",
    "requests", "rich", "scipy", "sklearn", "sparklines", "tokenizers", "unittest", "urllib3",
    "websockets", "wordllama", "xllamacpp", "yaml",
    "analytics.admin", "optimizer.api.anthropic.messages", "optimizer.api.gemini.generate",
    "optimizer.api.manage.routes", "optimizer.api.openai.responses",
    "optimizer.api.openai.specialised", "optimizer.api.v1.reports", "optimizer.control_room.pages",
    "optimizer.control_room.site", "optimizer.control_room.tables", "optimizer.doctor",
    "optimizer.lab.demo", "optimizer.me", "optimizer.presentation", "optimizer.wiring.offline",
    "routing.training",
)  # fmt: skip
MOST_MODULES = 1_950
"""There are 1,820; a library that brings others must be worth its memory."""

_LISTING = """
import atexit, json, runpy, sys
atexit.register(lambda: print("MODULES", json.dumps(sorted(sys.modules)), flush=True))
sys.argv = ["manage.py", "serve", "--workers", "1"]
runpy.run_path("manage.py", run_name="__main__")
"""


class _Listed(Running):
    """A service that says in the end what it has imported."""

    command = ("-c", _LISTING)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[_Listed]:
    async with FakeProvider(anthropic_wire) as upstream:
        service = _Listed(tmp_path, upstream.url)
        yield service
        service.kill()


@own_database
async def test_a_worker_that_answers_chats_imports_what_chats_need(running: _Listed) -> None:
    async with client_of(running.port) as client:
        await running.ready(client)
        for text in ("What is the capital of France?", "Compare B-trees and LSM trees. " * 20):
            body = {"model": "auto", "messages": [{"role": "user", "content": text}]}
            answer = await client.post("/v1/chat/completions", json=body)
            assert answer.status_code == 200, answer.text
    output = running.stop(signal.SIGINT)
    modules = json.loads(output.rpartition("MODULES ")[2])
    assert "optimizer.api.openai.chat" in modules
    imported = [
        name
        for name in modules
        for package in UNNEEDED
        if name == package or name.startswith(f"{package}.")
    ]
    assert imported == []
    assert len(modules) < MOST_MODULES
