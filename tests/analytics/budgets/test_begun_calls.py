"""What a worker has begun is known after its death, and only then is it known to be dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from decimal import Decimal
from pathlib import Path

import pytest

from analytics.budgets import begun_calls
from analytics.budgets.begun_calls import (
    BegunCalls,
    CallProgress,
    proof_forget,
    proof_of,
    proved_workers,
)

NOTHING = CallProgress(10, None, Decimal("0.0000001"))
_WORKER = """
import sys, uuid
from decimal import Decimal
from pathlib import Path
from analytics.budgets.begun_calls import BegunCalls, CallProgress
calls = BegunCalls(Path(sys.argv[1]), "w")
request = uuid.UUID(sys.argv[2])
number = calls.add(request, CallProgress(10, None, Decimal("0.0000001")))
calls.note(number, request, CallProgress(10, 7, Decimal("0.0000005")))
print("begun", flush=True)
sys.stdin.read()
"""


def test_a_killed_worker_is_proved_dead_with_its_calls(tmp_path: Path) -> None:
    request = uuid.uuid4()
    with subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(tmp_path), str(request)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"begun\n"
        assert not proof_of(tmp_path, "w").dead
        os.kill(worker.pid, signal.SIGKILL)
    proof = proof_of(tmp_path, "w")
    assert proof.dead
    assert proof.may_have_begun(request)
    assert not proof.may_have_begun(uuid.uuid4())
    assert proof.progress(request) == CallProgress(10, 7, Decimal("0.0000005"))
    proof_forget(tmp_path, "w")
    assert proved_workers(tmp_path) == []


def test_without_a_file_of_this_start_of_the_machine_any_call_may_have_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert proof_of(tmp_path, "nobody").may_have_begun(uuid.uuid4())
    calls = BegunCalls(tmp_path, "w")
    calls.add(uuid.uuid4(), NOTHING)
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("another")
    monkeypatch.setattr(begun_calls, "_BOOT_ID", boot_id)
    proof = proof_of(tmp_path, "w")
    assert not proof.dead
    assert proof.may_have_begun(uuid.uuid4())
    calls.close()


def test_a_long_file_is_shortened_and_keeps_its_last_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(begun_calls, "_KEPT", 4)
    calls, requests = BegunCalls(tmp_path, "w"), [uuid.uuid4() for _ in range(21)]
    for request in requests:
        calls.add(request, NOTHING)
    begun = proof_of(tmp_path, "w").begun
    assert begun is not None
    assert {request.bytes for request in requests[-4:]} <= begun.keys()
    assert len(begun) <= 8
    calls.close()


def test_progress_is_noted_in_place_also_after_the_file_was_shortened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(begun_calls, "_KEPT", 4)
    calls, first = BegunCalls(tmp_path, "w"), uuid.uuid4()
    first_number = calls.add(first, NOTHING)
    kept = [uuid.uuid4() for _ in range(8)]
    numbers = [calls.add(request, NOTHING) for request in kept]
    calls.note(first_number, first, CallProgress(10, 99, Decimal(1)))
    calls.note(numbers[-1], kept[-1], CallProgress(10, 5, Decimal("0.25")))
    proof = proof_of(tmp_path, "w")
    assert proof.progress(first) is None
    assert proof.progress(kept[-1]) == CallProgress(10, 5, Decimal("0.25"))
    assert proof.progress(kept[-2]) == NOTHING
    calls.close()


def test_a_request_that_called_again_has_the_progress_of_its_last_call(tmp_path: Path) -> None:
    calls, request = BegunCalls(tmp_path, "w"), uuid.uuid4()
    calls.note(calls.add(request, NOTHING), request, CallProgress(10, 5, Decimal(1)))
    calls.add(request, CallProgress(10, 0, Decimal(2)))
    assert proof_of(tmp_path, "w").progress(request) == CallProgress(10, 0, Decimal(2))
    calls.close()


def test_what_no_record_can_hold_is_the_most_that_it_can(tmp_path: Path) -> None:
    calls, request = BegunCalls(tmp_path, "w"), uuid.uuid4()
    calls.add(request, CallProgress(2**40, 2**40, Decimal(10) ** 30))
    progress = proof_of(tmp_path, "w").progress(request)
    assert progress is not None
    assert progress.tokens_in == progress.tokens_out == 2**32 - 2
    assert progress.cost > 900_000_000
    calls.close()


def test_after_a_full_disk_the_file_names_the_calls_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(begun_calls, "_TRY_AGAIN_SECONDS", 0.0)
    calls, before, during = BegunCalls(tmp_path, "w"), uuid.uuid4(), uuid.uuid4()
    calls.add(before, NOTHING)
    with monkeypatch.context() as full:
        full.setattr(begun_calls.os, "pwrite", lambda *_: 3)
        full.setattr(begun_calls.os, "write", lambda *_: 3)
        calls.add(during, NOTHING)
        assert proof_of(tmp_path, "w").begun is None
    after = uuid.uuid4()
    calls.add(after, NOTHING)
    begun = proof_of(tmp_path, "w").begun
    assert begun is not None
    assert begun.keys() == {request.bytes for request in (before, during, after)}
    assert not proof_of(tmp_path, "w").dead
    calls.close()


def test_a_file_that_cannot_be_written_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    calls = BegunCalls(tmp_path / "file" / "folder", "w")
    calls.add(uuid.uuid4(), NOTHING)
    assert proof_of(tmp_path / "file" / "folder", "w").may_have_begun(uuid.uuid4())


def test_a_file_of_the_first_format_proves_nothing(tmp_path: Path) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    (tmp_path / "w.calls").write_bytes(boot + b"\n" + uuid.uuid4().bytes)
    proof = proof_of(tmp_path, "w")
    assert not proof.dead
    assert proof.may_have_begun(uuid.uuid4())
