"""What every test may use: services built anew, a client, fake providers."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import SyncToAsync, sync_to_async
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.db import connections
from django.test import AsyncClient
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from analytics.access.roles import roles_make
from optimizer.asgi import application
from optimizer.wiring import routing
from optimizer.wiring.build import forget_services, get_services
from optimizer.wiring.installation import upstream
from optimizer.wiring.installation.folders import journal
from providers.http.transport import ConnectionSettings, HttpClient, make_client
from tests.emptying import empty_quickly
from tests.fakes.server import FakeProvider
from tests.fakes.wires import KEY, anthropic_wire, gemini_wire, openai_wire

# Several workers of pytest share the cores; OpenMP's threads would wait for each other in loops.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# How long a machine takes says nothing of what is tested.
hypothesis_settings.register_profile(
    # Each run draws other examples; `--hypothesis-profile thorough` draws many at once.
    "untimed",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=25,
)
hypothesis_settings.register_profile(
    "thorough", hypothesis_settings.get_profile("untimed"), max_examples=1000
)
hypothesis_settings.load_profile("untimed")


empty_quickly()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, on another database than SQLite, the tests that touch none."""
    if "DATABASE_URL" not in os.environ:
        return
    touching = [item for item in items if _touches_the_database(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(touching)])
    items[:] = touching


def _touches_the_database(item: pytest.Item) -> bool:
    if hasattr(getattr(item, "module", None), "Running"):
        return True  # a service in a process of its own, on the same database
    if any(mark.kwargs.get("reason") == "needs Redis" for mark in item.iter_markers("skipif")):
        return True  # or the store that workers share, which comes with it
    used = getattr(item, "fixturenames", ())
    return item.get_closest_marker("django_db") is not None or not _DATABASE.isdisjoint(used)


_DATABASE = frozenset({"db", "transactional_db", "django_db_setup"})


def _once_for_each_version(read: Callable[..., Any]) -> Callable[..., Any]:
    """``read`` a file again only once it has changed."""
    known: dict[Any, Any] = {}

    def reading(path: Path | None = None) -> Any:
        state = path.stat() if path is not None and path.exists() else None
        version = path, state and (state.st_mtime_ns, state.st_size, state.st_ino)
        if version not in known:
            known[version] = read(path) if path is not None else read()
        return known[version]

    return reading


def _once_for_each_place(create: Callable[..., ssl.SSLContext]) -> Callable[..., ssl.SSLContext]:
    """``create`` a context again only where other certificates are to be trusted."""
    known = lru_cache(lambda places, *args, **how: create(*args, **how))
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR")
    return lambda *args, **how: known(tuple(map(os.environ.get, names)), *args, **how)


@pytest.fixture(scope="session", autouse=True)
def _the_same_files_are_read_once() -> Iterator[None]:
    """Thousands of tests build the services: the catalogue, the predictor and the certificates of
    authorities took most of that time."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            (upstream, "load_catalogue"), (routing, "load_artifact"), (routing, "load_abilities"),
        ):  # fmt: skip
            patch.setattr(module, name, _once_for_each_version(getattr(module, name)))
        patch.setattr(httpx, "create_ssl_context", _once_for_each_place(httpx.create_ssl_context))
        yield


@pytest.fixture(autouse=True)
def _nothing_left_behind(settings: object) -> Iterator[None]:
    """Each test builds its own services and leaves no thread, file or cache entry."""
    before = set(threading.enumerate())
    yield
    services = forget_services()
    if services is not None:
        services.close()
    ours = {"fast-refresher", "ledger-writer", "cache-reader"}
    left = [one for one in set(threading.enumerate()) - before if one.name in ours]
    assert not left, f"Threads go on after the test: {left}."
    for path in journal().pending():
        path.unlink()
    cache.clear()
    # Synchronous code of asynchronous tests runs there; PostgreSQL drops no database in use.
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    """The pooled client that providers use."""
    async with make_client(ConnectionSettings(connect_timeout=2, read_timeout=2)) as client:
        yield client


@pytest.fixture
async def fakes(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, FakeProvider]]:
    """The three wires on loopback, with dummy keys and base URLs in the environment."""
    async with (
        FakeProvider(gemini_wire) as gemini,
        FakeProvider(anthropic_wire) as claude,
        FakeProvider(openai_wire()) as openrouter,
    ):
        for variable, fake in (
            ("GEMINI", gemini),
            ("ANTHROPIC", claude),
            ("OPENROUTER", openrouter),
        ):
            monkeypatch.setenv(f"{variable}_API_KEY", KEY)
            monkeypatch.setenv(f"{variable}_BASE_URL", fake.url)
        yield {"gemini": gemini, "claude": claude, "openrouter": openrouter}


Start = Callable[[], Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """``await start()``: the service as its environment is now, and a client of it."""
    clients: list[httpx.AsyncClient] = []

    async def begin() -> httpx.AsyncClient:
        await get_services().start()
        transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://localhost"))
        return clients[-1]

    yield begin
    for client in clients:
        await client.aclose()
    await stop_services()


async def stop_services() -> None:
    """End the services and every connection that synchronous code left open."""
    services = forget_services()
    if services is not None:
        await services.stop()
    await sync_to_async(connections.close_all)()


@pytest.fixture
async def client(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start
) -> httpx.AsyncClient:
    """The whole service over its three fake providers."""
    return await start()


@pytest.fixture(scope="session", autouse=True)
def _cut_off_from_the_machine() -> None:
    assert os.environ["ENV_FILE"] == os.devnull
    assert "optimizer-tests-" in str(settings.DATA_DIR)


async def logged_in(role: str) -> AsyncClient:
    """A browser of somebody with a role of the admin's."""
    await sync_to_async(roles_make)()
    person = await User.objects.acreate_user(f"the {role}", is_staff=True)
    await person.groups.aset([await Group.objects.aget(name=role)])
    client = AsyncClient()
    await client.aforce_login(person)
    return client
