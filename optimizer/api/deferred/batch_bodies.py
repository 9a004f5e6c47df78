"""Clients' batches and their results, as the APIs of OpenAI and Anthropic write them.

Formats: https://platform.openai.com/docs/api-reference/batch/object,
https://platform.openai.com/docs/api-reference/batch/request-output,
https://docs.anthropic.com/en/api/retrieving-message-batches
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from analytics.models import ClientBatch, DeferredRequest, StoredFile
from optimizer.api.http.endpoint import JsonReply

State = DeferredRequest.State
Counts = Mapping[str, int]


def openai_batch(batch: ClientBatch, counts: Counts) -> dict[str, Any]:
    """Return a batch as OpenAI's API shows it."""
    done = counts.get(State.DONE, 0)
    ended = sum(n for state, n in counts.items() if state not in DeferredRequest.OPEN)
    status = _openai_status(batch, counts)
    at = _seconds(batch.ended_at)
    return {
        "id": batch.pk,
        "object": "batch",
        "endpoint": batch.path,
        "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        "input_file_id": batch.input_file_id,
        "completion_window": "24h",
        "status": status,
        "output_file_id": output_file_id(batch) if batch.ended_at and done else None,
        "error_file_id": error_file_id(batch) if batch.ended_at and ended > done else None,
        "created_at": _seconds(batch.created_at),
        "in_progress_at": None if batch.errors else _seconds(batch.created_at),
        "expires_at": _seconds(batch.deadline_at),
        "finalizing_at": at if status == "completed" else None,
        "completed_at": at if status == "completed" else None,
        "failed_at": at if status == "failed" else None,
        "expired_at": at if status == "expired" else None,
        "cancelling_at": _seconds(batch.cancelled_at),
        "cancelled_at": at if status == "cancelled" else None,
        "request_counts": {"total": batch.total, "completed": done, "failed": ended - done},
        "metadata": batch.metadata,
    }


def _openai_status(batch: ClientBatch, counts: Counts) -> str:
    if batch.errors:
        return "failed"
    if batch.cancelled_at:
        return "cancelled" if batch.ended_at else "cancelling"
    if batch.ended_at:
        return "expired" if counts.get(State.EXPIRED) else "completed"
    return "in_progress"


def output_file_id(batch: ClientBatch) -> str:
    """Return the id of the file of a batch's answers."""
    return f"file-aco-out-{batch.pk.rpartition('_')[2]}"


def error_file_id(batch: ClientBatch) -> str:
    """Return the id of the file of a batch's errors."""
    return f"file-aco-err-{batch.pk.rpartition('_')[2]}"


def openai_line(row: DeferredRequest, reply: JsonReply) -> dict[str, Any]:
    """Return one line of the results in OpenAI's format."""
    line: dict[str, Any] = {
        "id": f"batch_req_{row.pk.hex}",
        "custom_id": row.custom_id,
        "response": None,
        "error": None,
    }
    if row.state in (State.EXPIRED, State.CANCELLED):
        words = row.error_detail or row.get_state_display()
        line["error"] = {"code": f"batch_{row.state}", "message": words}
        return line
    line["response"] = {
        "status_code": reply.status,
        "request_id": str(row.pk),
        "body": reply.body,
    }
    return line


def anthropic_batch(batch: ClientBatch, counts: Counts) -> dict[str, Any]:
    """Return a batch as Anthropic's API shows it."""
    ended = batch.ended_at is not None
    running = "canceling" if batch.cancelled_at else "in_progress"
    open_ones = sum(n for state, n in counts.items() if state in DeferredRequest.OPEN)
    return {
        "id": batch.pk,
        "type": "message_batch",
        "processing_status": "ended" if ended else running,
        # Until a batch has ended, all of its requests count as in process.
        "request_counts": {
            "processing": open_ones if ended else batch.total,
            "succeeded": counts.get(State.DONE, 0) if ended else 0,
            "errored": counts.get(State.FAILED, 0) if ended else 0,
            "canceled": counts.get(State.CANCELLED, 0) if ended else 0,
            "expired": counts.get(State.EXPIRED, 0) if ended else 0,
        },
        "ended_at": _iso(batch.ended_at),
        "created_at": _iso(batch.created_at),
        "expires_at": _iso(batch.deadline_at),
        "archived_at": None,
        "cancel_initiated_at": _iso(batch.cancelled_at),
        "results_url": f"/v1/messages/batches/{batch.pk}/results" if ended else None,
    }


def anthropic_line(row: DeferredRequest, reply: JsonReply) -> dict[str, Any]:
    """Return one line of the results in Anthropic's format."""
    result: dict[str, Any]
    if row.state == State.DONE:
        result = {"type": "succeeded", "message": reply.body}
    elif row.state == State.FAILED:
        result = {"type": "errored", "error": reply.body}
    else:
        result = {"type": "expired" if row.state == State.EXPIRED else "canceled"}
    return {"custom_id": row.custom_id, "result": result}


def openai_file(file: StoredFile) -> dict[str, Any]:
    """Return a file as OpenAI's API shows it."""
    return {
        "id": file.pk,
        "object": "file",
        "bytes": file.size,
        "created_at": _seconds(file.created_at),
        "expires_at": _seconds(file.expires_at),
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
    }


def results_file(batch: ClientBatch, file_id: str) -> dict[str, Any]:
    """Return the file of a batch's results as OpenAI's API shows it; its size is not known."""
    at = _seconds(batch.ended_at)
    return {
        "id": file_id, "object": "file", "bytes": 0, "created_at": at, "purpose": "batch_output",
        "filename": f"{file_id}.jsonl", "status": "processed",
    }  # fmt: skip


def _seconds(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")
