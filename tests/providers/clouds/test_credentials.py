"""Credentials that end: fetched once for all calls, and renewed in time, off the event loop."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from providers.clouds import credentials
from providers.clouds.credentials import Fetched, Renewed
from providers.errors import AuthenticationFailed
from tests.patience import eventually


class Source:
    """Gives numbered tokens that hold for ``seconds``; ``broken`` is what it raises instead."""

    def __init__(self, seconds: float | None = 3600.0) -> None:
        self.seconds = seconds
        self.count = 0
        self.threads: set[int] = set()
        self.broken: Exception | None = None

    def __call__(self) -> Fetched[str]:
        self.threads.add(threading.get_ident())
        if self.broken is not None:
            raise self.broken
        self.count += 1
        ends = None if self.seconds is None else time.time() + self.seconds
        return Fetched(f"token-{self.count}", ends)


async def test_many_calls_share_one_fetch_on_another_thread() -> None:
    source = Source()
    renewed = Renewed("cloud", "json", source)
    tokens = await asyncio.gather(*(renewed.get() for _ in range(20)))
    assert set(tokens) == {"token-1"}
    assert source.count == 1
    assert threading.get_ident() not in source.threads
    await renewed.aclose()


async def test_it_is_renewed_before_its_end_without_a_call() -> None:
    source = Source(2.0)
    renewed = Renewed("cloud", "json", source)
    renewed.begin()
    await eventually(lambda: source.count >= 2)
    assert await renewed.get() == f"token-{source.count}"
    await renewed.aclose()


async def test_a_client_that_leaves_does_not_end_the_fetch_of_others() -> None:
    source = Source()
    renewed = Renewed("cloud", "json", source)
    left = asyncio.ensure_future(renewed.get())
    stays = asyncio.ensure_future(renewed.get())
    await asyncio.sleep(0)
    left.cancel()
    assert await stays == "token-1"
    await renewed.aclose()


async def test_what_was_refused_is_fetched_anew_unless_it_is_young(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = Source(None)
    renewed = Renewed("cloud", "json", source)
    assert await renewed.get() == "token-1"
    assert await renewed.get() == "token-1"
    renewed.forget()
    assert await renewed.get() == "token-1"
    monkeypatch.setattr(credentials, "YOUNG", 0.0)
    renewed.forget()
    assert await renewed.get() == "token-2"
    await renewed.aclose()


async def test_the_words_of_a_library_stay_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    source = Source()
    source.broken = OSError("/etc/secrets/account.json of ann@example.com")
    renewed = Renewed("cloud", "json", source)
    with pytest.raises(AuthenticationFailed) as raised:
        await renewed.get()
    assert "OSError" in str(raised.value)
    assert "ann@example.com" not in str(raised.value)
    assert "ann@example.com" in caplog.text
    source.broken = None
    assert await renewed.get() == "token-1"
    await renewed.aclose()


async def test_a_library_that_is_not_installed_is_named_with_the_remedy() -> None:
    renewed = Renewed("bedrock", "not_installed_here.session", Source())
    with pytest.raises(AuthenticationFailed, match=r"pip install -r requirements/clouds\.txt"):
        await renewed.get()
    await renewed.aclose()
