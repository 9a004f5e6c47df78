"""The service on a real port, and the official clients of the APIs it speaks."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anthropic
import openai
import pytest
import uvicorn

from optimizer.asgi import application
from tests.conftest import stop_services
from tests.fakes.server import FakeProvider


class _Server(uvicorn.Server):
    """Leaves the signals to the tests' runner."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def on_a_port() -> AsyncIterator[str]:
    """The service as its environment is now; its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(application, log_config=None, access_log=False, lifespan="on")
        server = _Server(config)
        running = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.01)
            assert not running.done(), running.result()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running
            await stop_services()


@pytest.fixture
async def served(transactional_db: None, fakes: dict[str, FakeProvider]) -> AsyncIterator[str]:
    """The service over its three fake providers; its address."""
    async with on_a_port() as address:
        yield address


@pytest.fixture
async def openai_sdk(served: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{served}/v1", api_key="any", max_retries=0) as sdk:
        yield sdk


@pytest.fixture
async def anthropic_sdk(served: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=served, api_key="any", max_retries=0) as sdk:
        yield sdk
