"""The real service, full of replayed data, in processes of its own, and a real Chromium."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from tests.fakes.server import FakeProvider
from tests.fakes.wires import KEY, anthropic_wire, gemini_wire
from tests.routing.learning.made_outcomes import made_outcomes
from tests.running import Running

# A machine that does other things as well may take its time.
expect.set_options(timeout=15_000)
PASSWORD = "a password for the tests"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
# Chromium's own errands, of which none may leave the machine.
LAUNCH = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
_PRICES = """
"gpt-4-1106-preview" = { input = "10", output = "30" }
"gpt4_1106_preview" = { input = "10", output = "30" }
"gpt4_0613" = { input = "30", output = "60" }
"gpt4_0613_concise" = { input = "30", output = "60" }
"claude-2.1" = { input = "8", output = "24" }
"claude-instant-1.2" = { input = "0.8", output = "2.4" }
"gpt-3.5-turbo-1106" = { input = "1", output = "2" }
"mistralai/Mixtral-8x7B-Instruct-v0.1" = { input = "0.6", output = "0.6" }
"Mixtral-8x7B-Instruct-v0.1" = { input = "0.6", output = "0.6" }
"Mixtral-8x7B-Instruct-v0.1_concise" = { input = "0.6", output = "0.6" }
"gpt4_1106_preview_concise" = { input = "10", output = "30" }
"Qwen-14B-Chat" = { input = "0.2", output = "0.2" }
"vicuna-13b-v1.5" = { input = "0.2", output = "0.2" }
"gemma-7b-it" = { input = "0.2", output = "0.2" }
"gemma-2b-it" = { input = "0.1", output = "0.1" }
"weak" = { input = "0.6", output = "0.6" }
"strong" = { input = "10", output = "30" }
"""


_BASELINES = {
    "alpaca_eval": "gpt4_1106_preview", "gsm8k": "gpt-4-1106-preview", "made": "strong",
}  # fmt: skip
_DEAREST = "claude/claude-opus-5-5"
_ASKED = (
    "What is the capital of France?",
    "Write a Python function that merges two sorted lists, and explain why it is stable.",
    "Analyze and compare two designs for a rate limiter, step by step.",
    "Summarize the plot of Hamlet in a sentence.",
)


class Upstream:
    """Fake providers on an event loop of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.claude = FakeProvider(anthropic_wire)
        self.gemini = FakeProvider(gemini_wire)
        for fake in (self.claude, self.gemini):
            self._run(fake.__aenter__())

    def close(self) -> None:
        for fake in (self.claude, self.gemini):
            self._run(fake.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)  # type: ignore[arg-type]


class Service:
    """The service at ``url``, and how its client would ask it."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.url = f"http://127.0.0.1:{running.port}"

    def ask(self, prompt: str, **fields: object) -> dict[str, object]:
        answer = httpx.post(f"{self.url}/complete", json={"prompt": prompt, **fields}, timeout=30)
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        return found

    def chat(self, prompt: str, user: str, tag: str, *, stream: bool = False) -> str:
        """Asked as OpenAI's clients do, beside the dearest model; the request's id."""
        body = {
            "model": "auto", "messages": [{"role": "user", "content": prompt}], "user": user,
            "stream": stream, "max_tokens": 100,
            "optimizer": {"tags": [tag], "baseline": _DEAREST},
        }  # fmt: skip
        answer = httpx.post(f"{self.url}/v1/chat/completions", json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        return "" if stream else str(answer.json()["id"]).removeprefix("chatcmpl-")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    upstream = Upstream()
    running = Running(
        folder, upstream.claude.url, GEMINI_API_KEY=KEY, GEMINI_BASE_URL=upstream.gemini.url,
        ENV_FILE=os.devnull, DATABASE_TIMEOUT="20",
    )  # fmt: skip
    try:
        service_ready(running)
        _fill(running, folder)
        found = Service(running)
        _ask_around(found)
        yield found
    finally:
        running.stop()
        upstream.close()


def service_ready(running: Running) -> None:
    """Wait until the service answers."""

    async def ready() -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.port}") as client:
            await running.ready(client)

    asyncio.run(ready())


def _fill(running: Running, folder: Path) -> None:
    """Replay real outcomes, where SAMPLE_DATA names a folder of them, else made-up ones."""
    prices = folder / "prices.toml"
    prices.write_text(_PRICES)
    sample = os.environ.get("SAMPLE_DATA", "")
    files = sorted(Path(sample).glob("[ag]*.jsonl.gz")) if sample else []
    if not files:
        files = [folder / "made.jsonl.gz"]
        with gzip.open(files[0], "wt") as out:
            for prompt in made_outcomes(900):
                outcomes = {
                    model: {
                        "quality": found.quality, "input_tokens": found.input_tokens,
                        "output_tokens": found.output_tokens,
                    }
                    for model, found in prompt.outcomes.items()
                }  # fmt: skip
                row = {"id": prompt.id, "benchmark": prompt.benchmark, "prompt": prompt.prompt,
                       "outcomes": outcomes}  # fmt: skip
                out.write(json.dumps(row) + "\n")
    for file in files:
        running.manage(
            "replay", str(file), "--prices", str(prices), "--days", "25", "--limit", "450",
            "--baseline", _BASELINES[file.name.partition(".")[0]],
        )  # fmt: skip
    running.manage(
        "shell", "-c",
        "from django.contrib.auth.models import Group, User;"
        f"User.objects.create_superuser('root', password={PASSWORD!r});"
        f"ann = User.objects.create_user('ann', password={PASSWORD!r}, is_staff=True);"
        "ann.groups.add(Group.objects.get(name='viewer'));"
        "from decimal import Decimal; from analytics.models import Budget;"
        "from analytics.budgets.opening import budget_open;"
        "[budget_open(Budget(**one)) for one in ("
        "dict(name='All of it', period='month', limit=Decimal('0.2')),"
        "dict(name='Each user', scope='user', period='day', limit=Decimal('0.5')),"
        "dict(name='Any day', period='rolling', rolling_minutes=1440, limit=Decimal('0.05')))]",
    )  # fmt: skip


def _ask_around(service: Service) -> None:
    """What people ask in an hour: streamed or not, with users and tags, some of it again."""
    for n in range(24):
        user, tag = ("bea", "carl", "dora")[n % 3], ("search", "support")[n % 2]
        prompt = f"{_ASKED[n % len(_ASKED)]} (Case {n // 6}.)"
        service.chat(prompt, user, tag, stream=n % 4 == 0)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "No Chromium was found; CHROMIUM names one."
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=list(LAUNCH))
        yield found
        found.close()


_LONGEST = 600.0
"""Seconds after which the browser is killed under a test. Only a test that hangs takes as long:
Playwright bounds its waits, but not what a page's own script takes, and then nothing ends it."""


@pytest.fixture(scope="session")
def browser_process(service: Service, browser: Browser) -> int:
    """The id of the browser's first process. The service is first: it is started by an event loop
    of its own, which cannot be under that of Playwright."""
    asked = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
    (found,) = (one["id"] for one in asked["processInfo"] if one["type"] == "browser")
    return int(found)


@pytest.fixture(autouse=True)
def _no_test_waits_for_ever(browser_process: int) -> Iterator[None]:
    killing = threading.Timer(_LONGEST, os.kill, (browser_process, signal.SIGKILL))
    killing.daemon = True
    killing.start()
    yield
    killing.cancel()


# Django's links fade from one colour into another: what fades is at its end at once, for waiting
# took a third of the time. What keeps the place of a chart moves for ever, and is left alone.
# Nothing bounds page.evaluate, and a browser may draw no frame: then this goes on after a second.
SETTLED = """async () => {
  const drawn = new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  await Promise.race([drawn, new Promise((over) => setTimeout(over, 1000))]);
  for (const one of document.getAnimations()) {
    if (one.effect?.getComputedTiming().endTime < Infinity) one.finish();
  }
}"""
Open = Callable[..., Page]
LogIn = Callable[[str], Any]


@pytest.fixture(scope="session")
def log_in(service: Service, browser: Browser) -> LogIn:
    """``log_in(user)``: the cookies of a user who has logged in, once a session."""

    @cache
    def cookies(user: str) -> Any:
        context = browser.new_context(base_url=service.url)
        page = context.new_page()
        page.goto("/admin/login/?next=/admin/live/")
        page.fill("#id_username", user)
        page.fill("#id_password", PASSWORD)
        page.click("[type=submit]")
        page.wait_for_url("**/admin/live/")
        found = context.storage_state()
        context.close()
        return found

    return cookies


@contextmanager
def watched_page(
    browser: Browser,
    service: Service,
    cookies: Any,
    trouble: list[str],
    *,
    width: int = 1300,
    dark: bool = False,
    guest: bool = False,
) -> Iterator[Page]:
    """A page whose errors, and whose requests to other hosts, are added to ``trouble``."""

    def watch(route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in {"http", "https"} and address.netloc != urlsplit(service.url).netloc:
            trouble.append(f"asked {route.request.url}")
            route.abort()
            return
        route.continue_()

    context = browser.new_context(
        base_url=service.url,
        storage_state=cookies,
        bypass_csp=guest,
        viewport={"width": width, "height": 900},
        color_scheme="dark" if dark else "light",
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.route("**/*", watch)
    page = context.new_page()
    page.on("pageerror", lambda error: trouble.append(f"{page.url}: {error}"))
    page.on("console", lambda said: _note(said.type, f"{page.url}: {said.text}", trouble))
    try:
        yield page
    finally:
        context.close()


@pytest.fixture
def open_page(service: Service, browser: Browser, log_in: LogIn) -> Iterator[Open]:
    """``open_page(path, user=, width=, dark=, guest=)``: the page as that user sees it. In the
    end no page may have said an error or asked another host. ``guest`` scripts may run there
    that the content policy would not let in."""
    trouble: list[str] = []
    with ExitStack() as pages:

        def begin(path: str, *, user: str = "root", **options: Any) -> Page:
            watched = watched_page(browser, service, log_in(user), trouble, **options)
            page = pages.enter_context(watched)
            page.goto(path)
            return page

        yield begin
    assert trouble == []


def _note(kind: str, text: str, trouble: list[str]) -> None:
    # Who takes the network away in a test hears of it.
    if kind in {"error", "warning"} and "ERR_INTERNET_DISCONNECTED" not in text:
        trouble.append(text)


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where screenshots are kept: SCREENSHOTS, or a folder of its own."""
    folder = Path(os.environ.get("SCREENSHOTS", "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def axe() -> Axe:
    return Axe()
