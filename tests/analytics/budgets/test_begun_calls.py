"""What a worker has begun is known after its death, and only then is it known to be dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from analytics.budgets import begun_calls
from analytics.budgets.begun_calls import BegunCalls, proof_forget, proof_of, proved_workers

_WORKER = """
import sys, uuid
from pathlib import Path
from analytics.budgets.begun_calls import BegunCalls
calls = BegunCalls(Path(sys.argv[1]), "w")
calls.add(uuid.UUID(sys.argv[2]))
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
    proof_forget(tmp_path, "w")
    assert proved_workers(tmp_path) == []


def test_without_a_file_of_this_start_of_the_machine_any_call_may_have_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert proof_of(tmp_path, "nobody").may_have_begun(uuid.uuid4())
    calls = BegunCalls(tmp_path, "w")
    calls.add(uuid.uuid4())
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
        calls.add(request)
    begun = proof_of(tmp_path, "w").begun
    assert begun is not None
    assert set(requests[-4:]) <= begun
    assert len(begun) <= 8
    calls.close()


def test_a_file_that_cannot_be_written_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    calls = BegunCalls(tmp_path / "file" / "folder", "w")
    calls.add(uuid.uuid4())
    assert proof_of(tmp_path / "file" / "folder", "w").may_have_begun(uuid.uuid4())
