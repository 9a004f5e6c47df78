"""What the error of a call says of the member of a pool that was called."""

from __future__ import annotations

from typing import NamedTuple

from providers.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    InsufficientCredit,
    MembersBusy,
    ModelNotFound,
    PermissionDenied,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
)

_REFUSED_FOR = 300.0
"""Seconds for which a member is spared whose key is wrong or whose account has no credit."""
_OF_THE_KEY = (AuthenticationFailed, InsufficientCredit)
_OF_THE_MODEL = (PermissionDenied, ModelNotFound)
_OF_THE_SERVICE = (ProviderUnavailable, ConnectionFailed, ProviderTimeout)
_ANOTHER_MAY_ANSWER = (
    RateLimited, ProviderUnavailable, ConnectionFailed, *_OF_THE_KEY, *_OF_THE_MODEL,
)  # fmt: skip


class Fault(NamedTuple):
    """Why a member is to be spared: for one model, or for all of them.

    ``seconds`` is for how long, ``None`` if the error does not say.
    """

    of_the_model: bool
    seconds: float | None


def fault_of(error: ProviderError) -> Fault | None:
    """Return what a member is to be spared for; ``None`` if the error is the request's own."""
    if isinstance(error, _OF_THE_KEY):
        return Fault(of_the_model=False, seconds=_REFUSED_FOR)
    if isinstance(error, _OF_THE_MODEL):
        return Fault(of_the_model=True, seconds=_REFUSED_FOR)
    if isinstance(error, RateLimited):
        return Fault(of_the_model=True, seconds=error.retry_after)  # keys have limits by model
    if isinstance(error, _OF_THE_SERVICE):
        return Fault(of_the_model=False, seconds=error.retry_after)
    return None


def another_may_answer(error: ProviderError) -> bool:
    """Return whether another member may answer a request that failed so with one."""
    return isinstance(error, _ANOTHER_MAY_ANSWER) and not isinstance(error, MembersBusy)
