"""The official clients of OpenAI and Anthropic use batches, files and stored responses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.fakes.server import FakeProvider, Reply
from tests.optimizer.api.compat.conftest import on_a_port
from tests.optimizer.api.relayed.conftest import Answers

CLAUDE = "claude-haiku-4-5"


@pytest.fixture
async def address(
    transactional_db: None, openai_fake: FakeProvider, claude_fake: FakeProvider
) -> AsyncIterator[str]:
    async with on_a_port() as address:
        yield address


async def test_openais_client_uploads_and_reads_a_batch(
    address: str, openai_answers: Answers
) -> None:
    file = {"id": "file-1", "object": "file", "bytes": 2, "created_at": 1, "filename": "in.jsonl",
            "purpose": "batch", "status": "processed"}  # fmt: skip
    batch = {"id": "batch_1", "object": "batch", "status": "completed", "input_file_id": "file-1",
             "output_file_id": "file-2", "endpoint": "/v1/responses", "created_at": 1,
             "completion_window": "24h"}  # fmt: skip
    openai_answers["POST", "/files"] = file
    openai_answers["POST", "/batches"] = {**batch, "status": "validating", "output_file_id": None}
    openai_answers["GET", "/batches/batch_1"] = batch
    openai_answers["GET", "/batches"] = {"object": "list", "data": [batch], "has_more": False}
    openai_answers["GET", "/files/file-2/content"] = Reply(b'{"custom_id": "1"}\n')
    openai_answers["DELETE", "/files/file-1"] = {"id": "file-1", "object": "file", "deleted": True}
    base = f"{address}/v1"
    async with openai.AsyncOpenAI(base_url=base, api_key="any", max_retries=0) as sdk:
        uploaded = await sdk.files.create(file=("in.jsonl", b"{}"), purpose="batch")
        made = await sdk.batches.create(
            input_file_id=uploaded.id, endpoint="/v1/responses", completion_window="24h"
        )
        ended = await sdk.batches.retrieve(made.id)
        assert ended.output_file_id is not None
        assert (await sdk.files.content(ended.output_file_id)).text == '{"custom_id": "1"}\n'
        assert [one.id async for one in sdk.batches.list()] == ["batch_1"]
        assert (await sdk.files.delete(uploaded.id)).deleted
        with pytest.raises(openai.NotFoundError):
            await sdk.batches.retrieve("batch_2")


async def test_anthropics_client_reads_the_results_of_a_batch(
    address: str, claude_answers: Answers
) -> None:
    counts = {"processing": 0, "succeeded": 1, "errored": 0, "canceled": 0, "expired": 0}
    batch = {"id": "msgbatch_1", "type": "message_batch", "processing_status": "ended",
             "request_counts": counts, "created_at": "2026-01-01T00:00:00Z",
             "expires_at": "2026-01-02T00:00:00Z",
             "results_url": "https://api.example/b/results"}  # fmt: skip
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": CLAUDE,
               "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn",
               "usage": {"input_tokens": 3, "output_tokens": 1}}  # fmt: skip
    result = {"custom_id": "1", "result": {"type": "succeeded", "message": message}}
    place = "/v1/messages/batches"
    claude_answers["POST", place] = {**batch, "processing_status": "in_progress"}
    claude_answers["GET", f"{place}/msgbatch_1"] = batch
    claude_answers["GET", place] = {"data": [batch], "has_more": False}
    claude_answers["GET", f"{place}/msgbatch_1/results"] = Reply(
        json.dumps(result).encode() + b"\n", headers={"content-type": "application/x-jsonl"}
    )
    async with anthropic.AsyncAnthropic(base_url=address, api_key="any", max_retries=0) as sdk:
        params: Any = {"model": CLAUDE, "max_tokens": 9,
                       "messages": [{"role": "user", "content": "Hi"}]}  # fmt: skip
        made = await sdk.messages.batches.create(requests=[{"custom_id": "1", "params": params}])
        assert (await sdk.messages.batches.retrieve(made.id)).processing_status == "ended"
        # The client follows results_url with the key of this service, so it must lead here.
        listed = [one async for one in sdk.messages.batches.list()]
        assert [one.results_url for one in listed] == [f"{place}/msgbatch_1/results"]
        answers = [one async for one in await sdk.messages.batches.results(made.id)]
        assert [one.custom_id for one in answers] == ["1"]


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/models", "/v1/messages", "/v1/responses"])
async def test_a_head_is_answered_without_a_body(address: str, path: str) -> None:
    async with httpx.AsyncClient(base_url=address) as client:
        answer = await client.head(path)
        assert answer.status_code in {200, 405}
        assert answer.content == b""
        assert (await client.get(path)).status_code in {200, 405}
