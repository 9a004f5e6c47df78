"""A command of the operator decides: its exit code is the verdict.

It is run without a shell, with the answer on its standard input and without this service's
environment, which holds keys. It is named in a setting and nowhere else: whoever may change a
lever in the admin, or sends a request, must not thereby choose what runs on this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Sequence

from optimizer.gateway.levers.cascade.checks.verdicts import CheckedAnswer, Result, Verdict

_AT_ONCE = 4
_FIRST_OF_SHELLS = 126
"""From here on, exit codes say by convention that a command could not be run, or was killed."""


class CommandCheck:
    """Applies to answers with text. ``command`` is the program and its arguments.

    It has ``seconds`` to end. Exit code 0 passes the answer, 1 to 125 fail it.
    """

    name = "command"

    def __init__(self, command: Sequence[str], seconds: float) -> None:
        self._command = tuple(command)
        self._seconds = seconds
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def verdict(self, answer: CheckedAnswer) -> Verdict:
        """Return the verdict of the command, undecided if it could not be run to its end."""
        text = answer.completion.text
        if not text:
            return Verdict(self.name, "undecided", "the answer has no text")
        try:
            async with asyncio.timeout(self._seconds):
                async with self._places:
                    code = await self._run(text.encode("utf-8", "replace"))
        except TimeoutError:
            return Verdict(self.name, "undecided", f"it did not end within {self._seconds:g} s")
        except OSError as error:
            return Verdict(self.name, "undecided", f"it could not be run ({type(error).__name__})")
        return Verdict(self.name, _result(code), f"exit code {code}")

    async def _run(self, answer: bytes) -> int:
        with tempfile.TemporaryDirectory(prefix="check-", ignore_cleanup_errors=True) as folder:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": folder, "TMPDIR": folder},
                cwd=folder,
                start_new_session=True,
            )
            try:
                await process.communicate(answer)
            finally:
                # What it started is ended with it, also if the client leaves.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        assert process.returncode is not None
        return process.returncode


def _result(code: int) -> Result:
    if code == 0:
        return "passed"
    return "failed" if 0 < code < _FIRST_OF_SHELLS else "undecided"
