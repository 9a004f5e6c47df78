"""Clients that people use besides the official SDKs, each with only its base URL changed."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from django.conf import settings

from analytics.models import RequestRecord
from tests.fakes.answers import ANSWERS
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.fakes.wires import ANSWER, as_asked


@pytest.fixture(autouse=True)
def _calls_when_asked(fakes: dict[str, FakeProvider]) -> None:
    """A question that begins with TOOLS is answered with a call, where tools are offered."""

    def calling(name: str, fake: FakeProvider) -> None:
        inner = fake.wire
        call = [("call_1", "weather", {"city": "Paris"})]

        def wire(asked: Asked) -> Reply:
            reply = inner(asked)
            if reply.status == 200 and "TOOLS" in str(asked.body) and asked.body.get("tools"):
                return as_asked(asked, ANSWERS[name]("", call, "stop"))
            return reply

        fake.wire = wire

    for name, fake in fakes.items():
        calling(name, fake)


async def run(address: str, *command: str, folder: Path | None = None) -> str:
    environment = {
        **os.environ, "BASE_URL": address, "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LLM_LOAD_PLUGINS": "", "OPENAI_API_KEY": "any",
        **({"LLM_USER_PATH": str(folder)} if folder else {}),
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=settings.BASE_DIR,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, trouble = await asyncio.wait_for(process.communicate(), timeout=120)
    assert process.returncode == 0, trouble.decode()[-3000:]
    return out.decode().strip()


@pytest.mark.parametrize(
    ("client", "endpoint"),
    [
        (["langchain_openai_client"], "chat/completions"),
        (["langchain_anthropic_client"], "messages"),
        (["litellm_client", "openai"], "chat/completions"),
        (["litellm_client", "anthropic"], "messages"),
    ],
    ids=["langchain-openai", "langchain-anthropic", "litellm-openai", "litellm-anthropic"],
)
async def test_completes_streams_and_calls_tools(
    served: str, client: Sequence[str], endpoint: str
) -> None:
    name, *arguments = client
    said = await run(served, sys.executable, "-m", f"tests.clients.{name}", *arguments)
    whole, streamed, calls = said.splitlines()
    assert whole == ANSWER
    assert streamed.replace("|", "") == ANSWER
    assert streamed.count("|") >= 2
    assert calls == "[('weather', {'city': 'Paris'})]"
    records = [record async for record in RequestRecord.objects.order_by("id")]
    assert [record.streamed for record in records] == [False, True, False]
    assert {record.endpoint for record in records} == {endpoint}
    assert all(record.cost > 0 for record in records)


@pytest.mark.parametrize("how", [[], ["--no-stream"]], ids=["streamed", "whole"])
async def test_llm_on_the_command_line(served: str, tmp_path: Path, how: list[str]) -> None:
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- model_id: auto\n  model_name: auto\n  api_base: {served}/v1\n"
    )
    command = str(Path(sys.executable).with_name("llm"))
    said = await run(served, command, "-m", "auto", *how, "The capital of France?", folder=tmp_path)
    assert said == ANSWER
    record = await RequestRecord.objects.aget()
    assert record.streamed is not bool(how)
