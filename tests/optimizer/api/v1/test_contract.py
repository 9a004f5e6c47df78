"""The OpenAPI document and the service agree: schemathesis over every operation of it."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import httpx

from tests.fakes.server import FakeProvider
from tests.fakes.wires import anthropic_wire
from tests.running import Running, own_database

pytestmark = own_database

# Whether valid data is accepted also depends on what no schema says: the price of models, the
# answers that exist, bytes that no text column holds.
_CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance,negative_data_rejection,"
    "unsupported_method"
)
_OPERATION = re.compile("^    (?:get|post|put|patch|delete):$", re.MULTILINE)


async def test_no_server_error_and_nothing_that_the_document_does_not_say(tmp_path: Path) -> None:
    async with FakeProvider(anthropic_wire) as upstream:
        service = Running(tmp_path, upstream.url)
        base = f"http://127.0.0.1:{service.port}"
        try:
            async with httpx.AsyncClient(base_url=base) as client:
                await service.ready(client)
                document = (await client.get("/schema")).text
            found = await asyncio.to_thread(
                subprocess.run,
                [
                    Path(sys.executable).with_name("schemathesis"), "run",
                    f"{base}/schema?format=json", "--checks", _CHECKS,
                    "--phases", "examples,coverage,fuzzing", "--max-examples", "8",
                    "--generation-deterministic", "--continue-on-failure", "--no-color",
                ],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=240,
            )  # fmt: skip
        finally:
            said = service.stop()
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-1000:]
    operations = len(_OPERATION.findall(document))
    assert operations > 100
    assert f"Selected: {operations}/{operations}" in found.stdout
    assert "Traceback" not in said
