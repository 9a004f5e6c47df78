"""python -m benchmarks.control_room.pictures: makes the pictures of README and docs anew.

Starts the service on a database of its own beside providers that are imitated, makes the demo, and
photographs the admin in Chromium (CHROMIUM names another one). With --measured, the pictures
of measurements are made anew, too: by ``python -m benchmarks.gateway`` and, from the outcomes and
prices that are given, by ``manage.py evaluate_router``. Needs the requirements of the tests.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
_WIDTH, _HEIGHT = 1300, 900
_TALLEST = 1500
_PROMPT = "Analyze and compare two designs for a rate limiter, step by step."
_KEYS_MODELS = ("auto", "claude-opus-5-5", "auto", "claude-haiku-5-5")
_DEVELOPERS_PASSWORD = "kangaroo-lamp-41"
_MEASURED = {"gateway-0ms.png", "gateway-50ms.png", "router-evaluation.png"}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.control_room.pictures", description=__doc__
    )
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder (%(default)s)")
    parser.add_argument("--requests", type=int, default=3000, help="of the demo (%(default)s)")
    parser.add_argument("--measured", action="store_true", help="measure and draw anew, too")
    parser.add_argument("--outcomes", type=Path, nargs="+", default=[], help="for --measured")
    parser.add_argument("--prices", type=Path, help="for --measured")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "optimizer.settings")
    os.environ.update(ENV_FILE=os.devnull, SECRET_KEY="pictures")
    import django

    django.setup()
    made = photograph(options.out, options.requests)
    if options.measured:
        made |= measure(options.out, options.outcomes, options.prices)
    left = (
        {path.name for path in IMAGES.glob("*.png")}
        - made
        - (set() if options.measured else _MEASURED)
    )
    if left:
        parser.error(f"no picture is made of {', '.join(sorted(left))}")


def photograph(out: Path, requests: int) -> set[str]:
    """Take the pictures of the admin; return the names of their files."""
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import CHROMIUM, LAUNCH, PASSWORD, Service, Upstream, service_ready
    from tests.fakes.wires import KEY
    from tests.running import Running

    with tempfile.TemporaryDirectory() as folder:
        upstream = Upstream()
        running = Running(
            Path(folder), upstream.claude.url, GEMINI_API_KEY=KEY,
            GEMINI_BASE_URL=upstream.gemini.url, DATABASE_TIMEOUT="20",
        )  # fmt: skip
        try:
            service_ready(running)
            running.manage("demo", "--requests", str(requests))
            running.manage(
                "shell", "-c",
                "from django.contrib.auth.models import User;"
                f"User.objects.create_superuser('root', password={PASSWORD!r})",
            )  # fmt: skip
            service = Service(running)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(LAUNCH))
                page = browser.new_page(
                    base_url=service.url, viewport={"width": _WIDTH, "height": _HEIGHT}
                )
                log_in(page, PASSWORD)
                made = set()

                def take(name: str, prepare: Callable[[Page], None]) -> None:
                    prepare(page)
                    shoot(page, out / name)
                    made.add(name)

                for name, prepare in _OF_THE_DEMO.items():
                    take(name, prepare)
                for n in range(24):
                    service.chat(f"{_PROMPT} (Case {n // 3}.)", "ann", "search", stream=n % 4 == 0)
                for name, prepare in _OF_THE_SERVICE.items():
                    take(name, prepare)
                # Once there is a key, requests need one.
                invitation = running.manage("invite", "ann", "--url", service.url)
                take("key.png", lambda page: _key(page, service.url))
                take("me.png", lambda page: _me(page, invitation.strip().splitlines()[-1]))
                browser.close()
                return made
        finally:
            running.stop()
            upstream.close()


def log_in(page: Page, password: str) -> None:
    page.goto("/admin/login/?next=/admin/models/")
    page.fill("#id_username", "root")
    page.fill("#id_password", password)
    page.click("[type=submit]")
    page.wait_for_url("**/admin/models/")


def shoot(page: Page, path: Path) -> None:
    """Photograph the page from its top, as far as a reader of the docs would scroll."""
    page.wait_for_load_state("networkidle")
    page.evaluate("window.scrollTo(0, 0)")
    height = min(_TALLEST, page.evaluate("document.documentElement.scrollHeight"))
    page.set_viewport_size({"width": _WIDTH, "height": max(_HEIGHT, height)})
    page.wait_for_timeout(500)
    page.screenshot(path=path)
    page.set_viewport_size({"width": _WIDTH, "height": _HEIGHT})


def _home(page: Page) -> None:
    page.goto("/admin/?days=30")
    page.wait_for_selector("#chart-spend canvas")


def _decision(page: Page) -> None:
    page.goto("/admin/analytics/routingmetric/?tier__exact=moderate")
    page.locator("#result_list tbody tr a").first.click()
    page.wait_for_selector(".story canvas")


def _budget(page: Page) -> None:
    page.goto("/admin/analytics/budget/?q=Engineering")
    page.locator("#result_list tbody tr th a").first.click()
    page.wait_for_selector(".burn-down canvas")


def _whatif(page: Page) -> None:
    query = "policy=claude-haiku-5-5&policy=cheapest&policy=hybrid@0.8&days=30&named=on"
    page.goto(f"/admin/whatif/?{query}")
    page.wait_for_selector(".estimate")


def _live(page: Page) -> None:
    page.goto("/admin/live/")
    page.wait_for_selector("#happenings tbody tr", timeout=30_000)


def _playground(page: Page) -> None:
    page.goto("/admin/playground/")
    page.locator("#playground textarea").last.fill(_PROMPT)
    page.get_by_role("button", name="Compare strategies").click()
    page.wait_for_selector("#choices table")
    page.get_by_role("button", name="Run").click()
    page.wait_for_selector("text=Decision details")


def _models(page: Page) -> None:
    page.goto("/admin/models/")


def _key(page: Page, url: str) -> None:
    """Make a developer's key in the admin, use it, and open its page."""
    page.goto("/admin/analytics/apikey/add/")
    page.get_by_label("Name:").fill("ann's laptop")
    page.locator("#select2-id_user-container").click()
    page.locator(".select2-search__field").fill("ann")
    page.get_by_role("option", name="ann").first.click()
    page.get_by_label("May spend, USD:").fill("0.05")
    page.get_by_role("button", name="Save", exact=True).click()
    secret = page.locator(".secret").inner_text()
    for n in range(40):
        body = {
            "model": _KEYS_MODELS[n % len(_KEYS_MODELS)],
            "messages": [{"role": "user", "content": f"{_PROMPT} (Question {n}.)"}],
            "max_tokens": 100,
        }
        headers = {"authorization": f"Bearer {secret}", "x-session-id": f"work-{n // 8}"}
        httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=30)
    page.get_by_role("link", name="What ann's laptop spends").click()
    page.wait_for_selector(".burn-down canvas")


def _me(page: Page, invitation: str) -> None:
    page.context.clear_cookies()
    page.goto(invitation)
    page.get_by_label("Password", exact=True).fill(_DEVELOPERS_PASSWORD)
    page.get_by_label("Password again").fill(_DEVELOPERS_PASSWORD)
    page.get_by_role("button", name="Go on").click()
    page.wait_for_selector(".own-charts canvas, .chart.spend canvas")


_OF_THE_DEMO = {
    "home.png": _home, "decision.png": _decision, "budget.png": _budget, "whatif.png": _whatif,
}  # fmt: skip
_OF_THE_SERVICE = {"live.png": _live, "playground.png": _playground, "models.png": _models}


def measure(out: Path, outcomes: list[Path], prices: Path | None) -> set[str]:
    """Measure the gateway and, from ``outcomes``, the router; return the pictures' names."""
    made = {"gateway-0ms.png", "gateway-50ms.png"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.gateway", "--latency", "0", "50"]
        subprocess.run([*command, "--out", folder], cwd=ROOT, check=True)
        for name in made:
            shutil.copy(Path(folder) / name, out / name)
    if outcomes and prices is not None:
        command = [sys.executable, "manage.py", "evaluate_router", "--prices", str(prices)]
        command += ["--data", *map(str, outcomes), "--plot", str(out / "router-evaluation.png")]
        subprocess.run(command, cwd=ROOT, check=True)
        made.add("router-evaluation.png")
    return made


if __name__ == "__main__":
    main()
