"""Doing something at once when the server is told to end.

The server waits for open answers before it tells the application: too late for one that would
stay open for ever.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType


def before_the_server_ends(work: Callable[[], None]) -> None:
    """Call ``work`` on SIGTERM and SIGINT, then whoever handled them. Outside the main thread
    signals are not ours, and nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)
        if callable(before):
            signal.signal(number, _both(work, before))


def _both(
    work: Callable[[], None], before: Callable[[int, FrameType | None], object]
) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        work()
        before(number, frame)

    return handle
