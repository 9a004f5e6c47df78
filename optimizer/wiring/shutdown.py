"""Runs work as soon as the server gets a signal to end.

The server waits for open responses before it notifies the application: too late for a response
that would stay open without an end.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType


def before_the_server_ends(work: Callable[[], None]) -> None:
    """Call ``work`` on SIGTERM and SIGINT, then the previous handler.

    Does nothing outside the main thread, where signals cannot be handled.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        previous = signal.getsignal(number)
        if callable(previous):
            signal.signal(number, _both(work, previous))


def _both(
    work: Callable[[], None], previous: Callable[[int, FrameType | None], object]
) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        work()
        previous(number, frame)

    return handle
