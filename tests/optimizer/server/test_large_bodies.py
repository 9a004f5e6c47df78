"""A large body is parsed, read and analyzed beside the event loop."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from optimizer.domain.request import GatewayRequest
from optimizer.gateway.chat_requests import ChatRequestBuilder
from optimizer.server import fast_path
from tests.fakes.server import FakeProvider


@pytest.mark.parametrize("messages", [1, 20_001])
async def test_only_large_bodies_leave_the_thread_of_the_event_loop(
    client: httpx.AsyncClient,
    fakes: dict[str, FakeProvider],
    monkeypatch: pytest.MonkeyPatch,
    messages: int,
) -> None:
    threads: dict[str, threading.Thread] = {}

    def watched(name: str, do: Any) -> Any:
        def watching(*args: Any, **more: Any) -> Any:
            threads[name] = threading.current_thread()
            return do(*args, **more)

        return watching

    monkeypatch.setattr(fast_path, "read_json", watched("parse", fast_path.read_json))
    monkeypatch.setattr(ChatRequestBuilder, "build", watched("build", ChatRequestBuilder.build))
    monkeypatch.setattr(GatewayRequest, "analyze", watched("analyze", GatewayRequest.analyze))
    roles = ("user", "assistant")
    chat = [{"role": roles[i % 2], "content": "a"} for i in range(messages)]
    answer = await client.post("/v1/chat/completions", json={"model": "auto", "messages": chat})
    assert answer.status_code == 200
    on_loop = {name: t is threading.current_thread() for name, t in threads.items()}
    assert on_loop == dict.fromkeys(("parse", "build", "analyze"), messages == 1)
