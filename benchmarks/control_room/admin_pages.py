"""python -m benchmarks.control_room.admin_pages: the cost of every admin page over a million rows.

Fills a scratch database on PostgreSQL (DATABASE_URL; it is made and, without
--keep, dropped) with made-up requests over thirty days, sums their hours, fills
every other table, and opens every page of the control room and of developers:
server time in milliseconds, median and slowest of several, the CPU time of the
fastest, in Python and in PostgreSQL's own process for the connection, how many
queries it makes, and how many kB it brings to a browser that has seen none of
the admin. On a machine that others load, read the CPU time.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django

MOST_QUERIES, MOST_MS, MOST_KB = 15, 300.0, 300.0
_KEYS = ("ANTHROPIC", "GEMINI", "OPENAI", "OPENROUTER")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.control_room.admin_pages", description=__doc__
    )
    parser.add_argument("--requests", type=int, default=1_000_000, help="(%(default)s)")
    parser.add_argument("--times", type=int, default=7, help="each page is opened (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the database for another run")
    parser.add_argument("--only", default="", help="pages whose address contains this text")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "optimizer.settings")
    for provider in _KEYS:  # no call is made: what may be chosen decides how long a page takes
        os.environ.setdefault(f"{provider}_API_KEY", "none")
    django.setup()

    from django.db import connection

    from benchmarks.control_room.million_requests import fill

    if connection.vendor != "postgresql":
        parser.error("DATABASE_URL must name a PostgreSQL server")
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(
        verbosity=0, autoclobber=True, keepdb=options.keep, serialize=False
    )
    try:
        fill(options.requests)
        measure(options.times, options.only)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0, keepdb=options.keep)


@dataclass(frozen=True, slots=True)
class PageCost:
    """What a page costs. Times are milliseconds, ``cpu`` that of the fastest of several."""

    address: str
    whose: str
    status: int
    median: float
    slowest: float
    cpu: float
    queries: int
    kb: float

    @property
    def over(self) -> bool:
        """Whether it costs too much, or is no page. A machine that is busy lengthens the time."""
        return (
            self.cpu > MOST_MS
            or self.queries > MOST_QUERIES
            or self.kb > MOST_KB
            or self.status >= 400
        )

    def __str__(self) -> str:
        return (
            f"{self.median:7.0f} ms {self.slowest:7.0f} slowest {self.cpu:6.0f} CPU "
            f"{self.queries:4} queries {self.kb:5.0f} kB {self.status} {self.address} {self.whose}"
            f"{'  <-- over' if self.over else ''}"
        )


def measure(times: int, only: str) -> None:
    from django.conf import settings
    from django.db import connection

    settings.ALLOWED_HOSTS = ["*"]
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        print(f"PostgreSQL {cursor.fetchone()[0]}, Python {platform.python_version()}")
    costs = []
    for client, address, whose in visits():
        if only in address:
            costs.append(page_cost(client, address, times, whose))
            print(costs[-1], flush=True)
    over = [cost for cost in costs if cost.over]
    print(
        f"{len(costs)} pages, {len(over)} over {MOST_MS:.0f} ms of CPU time, {MOST_QUERIES} "
        f"queries or {MOST_KB:.0f} kB, {sum(cost.median > MOST_MS for cost in costs)} over "
        f"{MOST_MS:.0f} ms by the clock",
        *over,
        sep="\n",
    )


def visits() -> Iterator[tuple[Any, str, str]]:
    """Each page once: the browser of somebody who may see it, its address, and whose it is."""
    from django.contrib.auth.models import User
    from django.test import Client

    from analytics.models import Developer
    from benchmarks.control_room.addresses import admin_addresses, developer_addresses
    from benchmarks.control_room.million_requests import DEVELOPERS

    user, _ = User.objects.get_or_create(username="bench", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(user)
    for address in dict.fromkeys(admin_addresses()):
        yield client, address, ""
    for developer in Developer.objects.filter(name__in=DEVELOPERS):
        developer.account, _ = User.objects.get_or_create(username=developer.name)
        developer.save()
        client = Client()
        client.force_login(developer.account)
        for address in developer_addresses(developer):
            yield client, address, developer.name
    yield Client(), "/me/sign-in/", "nobody"


def page_cost(client: Any, address: str, times: int, whose: str) -> PageCost:
    """Open a page several times, after one that warms it up."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from benchmarks.control_room.page_weight import page_bytes

    def opened() -> Any:
        return client.get(address, headers={"accept": "text/html"})

    with CaptureQueriesContext(connection):
        opened()
    taken, cpu = [], []
    for _ in range(times):
        begun, used = time.perf_counter(), cpu_ms(connection)
        response = opened()
        taken.append((time.perf_counter() - begun) * 1000)
        cpu.append(cpu_ms(connection) - used)
    with CaptureQueriesContext(connection) as found:
        opened()
    return PageCost(
        address, whose, response.status_code, sorted(taken)[len(taken) // 2], max(taken), min(cpu),
        len(found), page_bytes(response.content) / 1000,
    )  # fmt: skip


def cpu_ms(connection: Any) -> float:
    """The CPU time of this process and of its PostgreSQL backend so far, in milliseconds."""
    connection.ensure_connection()
    fields = Path(f"/proc/{connection.connection.info.backend_pid}/stat").read_text()
    user, system = map(int, fields.rpartition(")")[2].split()[11:13])
    return (time.process_time() + (user + system) / os.sysconf("SC_CLK_TCK")) * 1000


if __name__ == "__main__":
    main()
