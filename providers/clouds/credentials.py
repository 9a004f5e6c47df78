"""Credentials that end after a while: fetched on a thread, and renewed before they end.

The libraries of the clouds fetch them, and block while they do. So no call waits for them but the
first, if it comes before :meth:`Renewed.begin` was done.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Generic, TypeVar

from providers.errors import AuthenticationFailed

logger = logging.getLogger(__name__)

Secret = TypeVar("Secret")
REQUIREMENTS = "pip install -r requirements/clouds.txt"
_AHEAD = 225.0
"""Seconds before the end at which the libraries themselves give a new token instead of the last."""
_AFTER_FAILURE = 15.0
YOUNG = 30.0
"""Seconds for which a credential is not fetched anew, whatever the provider says of it."""


@dataclass(frozen=True, slots=True)
class Fetched(Generic[Secret]):
    """A credential, and the Unix time at which it ends, ``None`` if it does not."""

    secret: Secret
    ends: float | None = None


class Renewed(Generic[Secret]):
    """A credential of one provider, of which there is always one that holds.

    ``fetch`` blocks, and raises any error. ``package`` is the module that it imports.
    """

    def __init__(self, provider: str, package: str, fetch: Callable[[], Fetched[Secret]]) -> None:
        self._provider = provider
        self._package = package
        self._fetch = fetch
        self._fetched: Fetched[Secret] | None = None
        self._fetched_at = 0.0
        self._renewal: asyncio.Task[Fetched[Secret]] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._provider}>"

    async def get(self) -> Secret:
        """Return the credential. Raises :class:`providers.errors.AuthenticationFailed`."""
        fetched = self._fetched
        if fetched is None or (fetched.ends is not None and fetched.ends <= time.time()):
            self.begin()
            assert self._renewal is not None
            # Another call may wait for it, too: a client that leaves does not end it.
            fetched = await asyncio.shield(self._renewal)
        return fetched.secret

    def begin(self) -> None:
        """Fetch the credential in the background, unless that is under way."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.get_running_loop().create_task(self._renew())
            self._renewal.add_done_callback(_retrieved)

    def forget(self) -> None:
        """Fetch the credential anew, because the provider refused it.

        One that was just fetched is not at fault, and another would be refused as well.
        """
        if time.monotonic() - self._fetched_at >= YOUNG:
            self._fetched = None

    async def aclose(self) -> None:
        """Fetch nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._renewal is not None:
            self._renewal.cancel()

    async def _renew(self) -> Fetched[Secret]:
        if not is_installed(self._package):
            raise not_installed(self._provider, self._package)
        try:
            fetched = await asyncio.to_thread(self._fetch)
        except Exception as error:
            # The words of the libraries may name paths and accounts: they are for the log alone.
            logger.warning("No credentials for %s: %s", self._provider, error)
            self._later(_AFTER_FAILURE)
            words = f"was not called: no credentials could be fetched ({type(error).__name__})"
            raise AuthenticationFailed(self._provider, words) from error
        self._fetched, self._fetched_at = fetched, time.monotonic()
        if fetched.ends is not None:
            left = fetched.ends - time.time()
            self._later(max(left - _AHEAD, left / 2, 1.0))
        return fetched

    def _later(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.begin)


def is_installed(package: str) -> bool:
    """Return whether the module ``package`` can be imported; it is not imported."""
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # a package around it
        return False


def not_installed(provider: str, package: str) -> AuthenticationFailed:
    """Return the error of a call that needs a library which is not installed."""
    return AuthenticationFailed(provider, f"needs the package {package}: {REQUIREMENTS}")


def _retrieved(task: asyncio.Task[Fetched[Secret]]) -> None:
    """Look at the error of a fetch for which no call waits: it is logged already."""
    if not task.cancelled():
        task.exception()
