"""The official SDKs for Node.js run their loops of tools over HTTP, unchanged but for the URL."""

from __future__ import annotations

import asyncio
import json
import os
import shutil

import pytest
from django.conf import settings

from tests.fakes.strict.author import DONE, WELCOME
from tests.optimizer.api.compat.conversation.conversation import Partner
from tests.optimizer.api.compat.conversation.loops import MODELS, check_loops

FOLDER = settings.BASE_DIR / "tests" / "clients" / "node"
pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (FOLDER / "node_modules").exists(),
    reason="needs Node.js and `npm ci` in tests/clients/node",
)


@pytest.mark.parametrize("name", ["openai", "anthropic", "ai"])
async def test_loops_of(name: str, address: str, partners: dict[str, Partner]) -> None:
    for provider in ("deepseek", "openrouter"):
        partners[provider].author.forgives = True  # type: ignore[attr-defined]
    process = await asyncio.create_subprocess_exec(
        "node",
        f"{name}.mjs",
        cwd=FOLDER,
        env={**os.environ, "BASE_URL": address, "MODELS": ",".join(MODELS.values())},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, trouble = await asyncio.wait_for(process.communicate(), timeout=120)
    told = [json.loads(line) for line in out.decode().splitlines() if line.startswith("[")]
    refused = [words for p in partners.values() for words in p.author.refusals]
    assert process.returncode == 0, (refused, told[-1:], trouble.decode()[-1500:])
    wrong = [
        (api, model, how, texts)
        for api, model, how, texts in told
        # The text before a call is not part of the last answer everywhere.
        if [text.removeprefix("I look.") for text in texts] != [DONE, WELCOME][: len(texts)]
    ]
    assert not wrong
    assert {(model, how) for _, model, how, _ in told} == {
        (model, how) for model in MODELS.values() for how in ("whole", "streamed")
    }
    await check_loops(partners)
