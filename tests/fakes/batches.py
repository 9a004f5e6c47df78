"""Fakes of the batch APIs of OpenAI, Anthropic and Google, strict about what they are sent.

Formats: https://platform.openai.com/docs/api-reference/batch,
https://docs.anthropic.com/en/api/creating-message-batches, https://ai.google.dev/api/batch-api,
https://ai.google.dev/api/files. Each answers single calls, too, as its wire does.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.fakes.server import Asked, Reply
from tests.fakes.wires import (
    KEY,
    anthropic_message,
    anthropic_wire,
    gemini_response,
    gemini_wire,
    openai_completion,
    openai_wire,
)

Fate = str | Callable[[str, dict[str, Any]], dict[str, Any]]
"""How a line ends: "answered", "failed", "expired", "cancelled", "missing", or by a function."""


@dataclass
class FakeBatch:
    """One batch: its lines by their ids, and how far it is."""

    id: str
    lines: dict[str, dict[str, Any]]
    mark: str = ""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    state: str = "running"
    cancelled: bool = False
    results: list[dict[str, Any]] = field(default_factory=list)


class BatchProvider:
    """What the three have in common; ``fates`` say how lines end, by what they ask."""

    def __init__(self) -> None:
        self.batches: dict[str, FakeBatch] = {}
        self.files: dict[str, bytes] = {}
        self.deleted: list[str] = []
        self.fate: Callable[[str], str] = lambda text: "answered"
        self._numbers = itertools.count(1)

    def number(self) -> int:
        return next(self._numbers)

    def end(self, *, cancelled: bool = False) -> None:
        """End all running batches; the results come in another order than the lines."""
        for batch in self.batches.values():
            if batch.state != "running":
                continue
            batch.state = "ended"
            for custom_id, body in reversed(batch.lines.items()):
                fate = "cancelled" if cancelled else self.fate(json.dumps(body))
                if fate != "missing":
                    batch.results.append(self.result(custom_id, body, fate))

    def result(self, custom_id: str, body: dict[str, Any], fate: str) -> dict[str, Any]:
        raise NotImplementedError

    @property
    def asked_lines(self) -> list[dict[str, Any]]:
        return [body for batch in self.batches.values() for body in batch.lines.values()]


def _lines(items: list[dict[str, Any]]) -> Reply:
    # Without an end of the last line, as some servers write them.
    body = b"\n".join(json.dumps(item).encode() for item in items)
    return Reply(body, headers={"content-type": "application/octet-stream"})


class OpenAIBatchFake(BatchProvider):
    """OpenAI's files and batches, below a base URL."""

    def __init__(self) -> None:
        super().__init__()
        self._single = openai_wire(max_tokens_field="max_completion_tokens")

    def __call__(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return Reply({"error": {"message": "wrong key", "code": "invalid_api_key"}}, 401)
        match (asked.method, asked.path.strip("/").split("/")):
            case ("POST", ["files"]):
                return self._upload(asked)
            case ("POST", ["batches"]):
                return self._create(asked)
            case ("GET", ["batches"]):
                return self._list(asked)
            case ("GET", ["batches", batch_id]) if batch_id in self.batches:
                return Reply(self.object(self.batches[batch_id]))
            case ("POST", ["batches", batch_id, "cancel"]) if batch_id in self.batches:
                batch = self.batches[batch_id]
                if batch.state == "ended":
                    return _openai_error(409, "cannot be cancelled")
                batch.cancelled = True
                return Reply(self.object(batch))
            case ("POST", ["chat", "completions"]):
                return self._single(asked)
        return self._file(asked)

    def _file(self, asked: Asked) -> Reply:
        match (asked.method, asked.path.strip("/").split("/")):
            case ("GET", ["files"]):
                return Reply({"object": "list", "data": [], "has_more": False})
            case ("GET", ["files", file_id, "content"]):
                return self._content(file_id)
            case ("DELETE", ["files", file_id]):
                self.deleted.append(file_id)
                return Reply({"id": file_id, "object": "file", "deleted": True})
        return _openai_error(404, "not found")

    def _upload(self, asked: Asked) -> Reply:
        boundary = re.search(r"boundary=(\S+)", asked.headers.get("content-type", ""))
        if boundary is None:
            return _openai_error(400, "no multipart body")
        parts = asked.raw.split(b"--" + boundary[1].encode())
        named = {
            name[1].decode(): part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
            for part in parts
            if (name := re.search(rb'name="([^"]+)"', part))
        }
        if named.get("purpose") != b"batch" or not named.get("file"):
            return _openai_error(400, "purpose and file are required")
        file_id = f"file-{self.number()}"
        self.files[file_id] = named["file"]
        return Reply({"id": file_id, "object": "file", "purpose": "batch"})

    def _create(self, asked: Asked) -> Reply:
        body = asked.body
        raw = self.files.get(body.get("input_file_id", ""))
        if raw is None or body.get("completion_window") != "24h":
            return _openai_error(400, "input_file_id or completion_window")
        lines = [json.loads(line) for line in raw.splitlines()]
        ids = [line["custom_id"] for line in lines]
        models = {line["body"]["model"] for line in lines}
        good = all(
            line["method"] == "POST" and line["url"] == body["endpoint"] and len(line) == 4
            for line in lines
        )
        if not good or len(set(ids)) != len(ids) or len(models) != 1 or not _texts(body):
            return _openai_error(400, "invalid lines")
        batch = FakeBatch(
            f"batch_{self.number()}", {line["custom_id"]: line["body"] for line in lines},
            mark=json.dumps(body.get("metadata")),
        )  # fmt: skip
        self.batches[batch.id] = batch
        return Reply(self.object(batch))

    def _list(self, asked: Asked) -> Reply:
        newest = list(reversed(self.batches.values()))
        data = [self.object(batch) for batch in newest]
        return Reply({"object": "list", "data": data, "has_more": False})

    def _content(self, file_id: str) -> Reply:
        kind, _, batch_id = file_id.partition("-")
        batch = self.batches.get(batch_id)
        if batch is None:
            return _openai_error(404, "no such file")
        wanted = kind == "out"
        return _lines([r for r in batch.results if (r["error"] is None) is wanted])

    def object(self, batch: FakeBatch) -> dict[str, Any]:
        """The batch as OpenAI shows it; a file without lines is an empty name."""
        ended = batch.state == "ended"
        good = any(result["error"] is None for result in batch.results)
        bad = any(result["error"] is not None for result in batch.results)
        running = "cancelling" if batch.cancelled else "in_progress"
        return {
            "id": batch.id, "object": "batch", "endpoint": "/v1/chat/completions", "errors": None,
            "status": ("cancelled" if batch.cancelled else "completed") if ended else running,
            "output_file_id": f"out-{batch.id}" if ended and good else "",
            "error_file_id": f"err-{batch.id}" if ended and bad else None,
            "created_at": int(batch.created.timestamp()),
            "metadata": json.loads(batch.mark),
            "request_counts": {"total": len(batch.lines), "completed": 0, "failed": 0},
        }  # fmt: skip

    def result(self, custom_id: str, body: dict[str, Any], fate: str) -> dict[str, Any]:
        line: dict[str, Any] = {"id": f"batch_req_{custom_id}", "custom_id": custom_id}
        if fate == "answered":
            answer = openai_completion(body["model"])
            return {**line, "response": {"status_code": 200, "body": answer}, "error": None}
        if fate == "failed":
            fault = {"error": {"code": "invalid_prompt", "message": "as told"}}
            return {**line, "response": {"status_code": 400, "body": fault}, "error": fault}
        error = {"code": f"batch_{fate}", "message": "as told"}
        return {**line, "response": None, "error": error}


class AnthropicBatchFake(BatchProvider):
    """Anthropic's message batches."""

    def __call__(self, asked: Asked) -> Reply:
        place = "/v1/messages/batches"
        if not asked.path.startswith(place):
            return anthropic_wire(asked)
        if asked.headers.get("x-api-key") != KEY or "anthropic-version" not in asked.headers:
            return _anthropic_error(401, "authentication_error")
        rest = [part for part in asked.path.removeprefix(place).split("/") if part]
        match (asked.method, rest):
            case ("POST", []):
                return self._create(asked)
            case ("GET", []):
                newest = list(reversed(self.batches.values()))
                return Reply({"data": list(map(self.object, newest)), "has_more": False})
            case ("GET", [batch_id]) if batch_id in self.batches:
                return Reply(self.object(self.batches[batch_id]))
            case ("POST", [batch_id, "cancel"]) if batch_id in self.batches:
                self.batches[batch_id].cancelled = True
                return Reply(self.object(self.batches[batch_id]))
            case ("DELETE", [batch_id]) if batch_id in self.batches:
                self.deleted.append(batch_id)
                return Reply({"id": batch_id, "type": "message_batch_deleted"})
            case ("GET", [batch_id, "results"]) if batch_id in self.batches:
                batch = self.batches[batch_id]
                if batch.state != "ended":
                    return _anthropic_error(404, "not_found_error")
                return _lines(batch.results)
        return _anthropic_error(404, "not_found_error")

    def _create(self, asked: Asked) -> Reply:
        requests = asked.body.get("requests")
        if not requests or set(asked.body) != {"requests"}:
            return _anthropic_error(400, "invalid_request_error")
        ids = [request["custom_id"] for request in requests]
        named = all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", custom_id) for custom_id in ids)
        whole = all(
            "max_tokens" in r["params"] and r["params"]["messages"] and "stream" not in r["params"]
            for r in requests
        )
        if not named or not whole or len(set(ids)) != len(ids):
            return _anthropic_error(400, "invalid_request_error")
        batch = FakeBatch(
            f"msgbatch_{self.number()}", {r["custom_id"]: r["params"] for r in requests}
        )
        self.batches[batch.id] = batch
        return Reply(self.object(batch))

    def object(self, batch: FakeBatch) -> dict[str, Any]:
        ended = batch.state == "ended"
        counts = dict.fromkeys(("succeeded", "errored", "canceled", "expired"), 0)
        counts["processing"] = 0 if ended else len(batch.lines)
        counts["succeeded"] = len(batch.lines) if ended else 0
        running = "canceling" if batch.cancelled else "in_progress"
        return {
            "id": batch.id, "type": "message_batch", "request_counts": counts,
            "processing_status": "ended" if ended else running,
            "created_at": batch.created.isoformat(), "archived_at": None,
            "results_url": None,
        }  # fmt: skip

    def result(self, custom_id: str, body: dict[str, Any], fate: str) -> dict[str, Any]:
        if fate == "answered":
            answer = {"type": "succeeded", "message": anthropic_message(body["model"])}
        elif fate == "failed":
            error = {"type": "error", "error": {"type": "invalid_request_error", "message": "x"}}
            answer = {"type": "errored", "error": error}
        else:
            answer = {"type": "canceled" if fate == "cancelled" else fate}
        return {"custom_id": custom_id, "result": answer}


class GeminiBatchFake(BatchProvider):
    """Google's files and batches of generateContent."""

    def __call__(self, asked: Asked) -> Reply:
        path = asked.path
        if "/models/" in path and not path.endswith(":batchGenerateContent"):
            return gemini_wire(asked)
        if asked.headers.get("x-goog-api-key") != KEY:
            return Reply({"error": {"code": 403, "status": "PERMISSION_DENIED"}}, 403)
        if path == "/upload/v1beta/files":
            return self._upload(asked)
        if path.endswith(":batchGenerateContent"):
            return self._create(asked, path.rpartition("/")[2].partition(":")[0])
        if path == "/v1beta/batches" and asked.method == "GET":
            newest = list(reversed(self.batches.values()))
            return Reply({"operations": list(map(self.object, newest))})
        if path.startswith("/download/v1beta/files/") and asked.query == "alt=media":
            batch = self.batches.get("batches/" + path.rpartition("/")[2].partition(":")[0])
            if batch is not None:
                return _lines(batch.results)
        return self._about(asked, path.removeprefix("/v1beta/"))

    def _about(self, asked: Asked, name: str) -> Reply:
        if asked.method == "DELETE":
            self.deleted.append(name)
            return Reply({})
        batch = self.batches.get(name.removesuffix(":cancel"))
        if batch is None:
            return Reply({"error": {"code": 404, "status": "NOT_FOUND"}}, 404)
        if name.endswith(":cancel"):
            batch.cancelled = True
            return Reply({})
        return Reply(self.object(batch))

    def _upload(self, asked: Asked) -> Reply:
        command = asked.headers.get("x-goog-upload-command")
        if command == "start":
            place = "http://elsewhere.invalid/upload/v1beta/files?upload_id=7"
            return Reply({}, headers={"x-goog-upload-url": place})
        if command != "upload, finalize" or asked.query != "upload_id=7":
            return Reply({"error": {"code": 400, "status": "INVALID_ARGUMENT"}}, 400)
        name = f"files/{self.number()}"
        self.files[name] = asked.raw
        return Reply({"file": {"name": name}})

    def _create(self, asked: Asked, model: str) -> Reply:
        batch = asked.body.get("batch") or {}
        raw = self.files.get((batch.get("inputConfig") or {}).get("fileName", ""))
        if raw is None or not batch.get("displayName"):
            return Reply({"error": {"code": 400, "status": "INVALID_ARGUMENT"}}, 400)
        lines = [json.loads(line) for line in raw.splitlines()]
        made = FakeBatch(
            f"batches/{self.number()}",
            {line["key"]: {**line["request"], "model": model} for line in lines},
            mark=batch["displayName"],
        )
        self.batches[made.id] = made
        return Reply(self.object(made))

    def object(self, batch: FakeBatch) -> dict[str, Any]:
        ended = batch.state == "ended"
        state = ("CANCELLED" if batch.cancelled else "SUCCEEDED") if ended else "RUNNING"
        body: dict[str, Any] = {
            "name": batch.id,
            "metadata": {
                "displayName": batch.mark,
                "state": f"BATCH_STATE_{state}",
                # Nanoseconds, as Google writes them.
                "createTime": f"{batch.created:%Y-%m-%dT%H:%M:%S.%f}123Z",
            },
        }
        if ended:
            file = "files/" + batch.id.rpartition("/")[2]
            body |= {"done": True, "response": {"responsesFile": file}}
        return body

    def result(self, custom_id: str, body: dict[str, Any], fate: str) -> dict[str, Any]:
        if fate == "answered":
            return {"key": custom_id, "response": gemini_response(body["model"])}
        return {"key": custom_id, "error": {"code": 1 if fate == "cancelled" else 400}}


def _texts(body: dict[str, Any]) -> bool:
    marks = body.get("metadata") or {}
    return all(isinstance(value, str) and len(value) <= 512 for value in marks.values())


def _openai_error(status: int, words: str) -> Reply:
    return Reply({"error": {"message": words, "type": "x", "param": None, "code": None}}, status)


def _anthropic_error(status: int, kind: str) -> Reply:
    return Reply({"type": "error", "error": {"type": kind, "message": "as told"}}, status)
