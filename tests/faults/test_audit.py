"""An audit: 64 clients of four tenants, a provider that keeps its own bill, and mischance.

It knows what the documentation says, and nothing else. ``AUDIT_RUNS`` (10 of each configuration),
``AUDIT_SECONDS`` (of calm between two faults, 3) and ``AUDIT_SEED`` change its length and its luck.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import secrets
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.faults.audit_check import (
    HOSTILE_TENANTS,
    ROWS,
    Interval,
    Money,
    Row,
    delivered_is_lost,
    readiness_lied,
    shares_are_unfair,
)
from tests.faults.audit_clients import AuditClients, exchange, head_of
from tests.faults.audit_servers import Audited, OnServices, OnSqlite
from tests.faults.billing_provider import BillingProvider, billing_provider, catalogue
from tests.faults.servers import Postgres, RedisServer
from tests.patience import eventually

RUNS = int(os.environ.get("AUDIT_RUNS", "10"))
CALM = float(os.environ.get("AUDIT_SECONDS", "3"))
SEED = int(os.environ.get("AUDIT_SEED") or secrets.randbelow(10**6))
FAULT = 3.0
RECOVERY = 5.0
"""Seconds after a fault, or after a start, within which honest clients of all tenants are answered
again, all of them for a second."""
MEMORY = 64
"""MiB that a worker may have grown by since it was warm, whatever was done to it."""
LIMITS = {
    "PROVIDER_READ_TIMEOUT": "2", "REQUEST_DEADLINE": "6", "STREAM_IDLE_SECONDS": "3",
    "STREAM_SECONDS": "6", "BODY_TIMEOUT": "3", "BODY_SECONDS": "8", "READER_TIMEOUT": "3",
    "BREAKER_SECONDS": "1", "MIN_FREE_DISK_MB": "8", "LOG_LEVEL": "WARNING", "AUDIT_KEY": "k",
}  # fmt: skip


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


class Audit:
    def __init__(self, service: Audited, on: Any, disk: Path, provider: BillingProvider) -> None:
        self.service, self.on, self.disk, self.provider = service, on, disk, provider
        self.keys: list[list[str]] = []
        self.warm = 0.0

    def prepare(self) -> None:
        """Make the keys of the tenants, one of which has two, and budgets that all fit in."""
        manage = self.service.manage
        with ThreadPoolExecutor(2) as pool:
            made = [
                pool.submit(manage, "create_key", f"key-{n}", "--team", f"team-{min(n, 3)}")
                for n in range(5)
            ]
            budgets = [
                pool.submit(manage, "budgets", "add", *budget.split())
                for budget in ("all --limit 100000", "teams --scope team --limit 50000")
            ]
        assert all(output.result() is not None for output in budgets)
        keys = [re.findall(r"aco_[\w-]+", output.result())[0] for output in made]
        self.keys = [*([key] for key in keys[:3]), keys[3:]]

    def workers(self) -> list[int]:
        return self.service.workers() or [self.service.process.pid]

    def memory(self) -> float:
        """MiB of the largest worker."""
        statuses = (Path(f"/proc/{pid}/status").read_text() for pid in self.workers())
        return max(int(re.findall(r"RssAnon:\s+(\d+)", text)[0]) / 1024 for text in statuses)

    @contextmanager
    def frozen_and_killed(self) -> Iterator[None]:
        """A worker dies whose records wait on disk."""
        with self.on.frozen():
            yield
            with self.worker_killed():
                pass

    @contextmanager
    def worker_killed(self) -> Iterator[None]:
        workers = self.service.workers()
        if workers:
            os.kill(random.choice(workers), signal.SIGKILL)
        else:
            self.service.kill()
            self.service.start()
        yield

    @contextmanager
    def disk_full(self) -> Iterator[None]:
        filler = self.disk / "filler"
        with filler.open("wb", buffering=0) as file:
            for size in (2**20, 4096, 1):
                with suppress(OSError):
                    while True:
                        file.write(b"\0" * size)
        with self.on.unwritable():
            yield
        filler.unlink()

    async def round(self, seed: int) -> list[str]:
        lot = random.Random(seed)
        self.provider.calls.clear()
        first_row = {row.id for row in self.ledger()}
        clients = AuditClients(self.service.port, self.keys, seed)
        over = asyncio.Event()
        running = asyncio.create_task(clients.run(over))
        calm: list[Interval] = []
        faults = [
            self.worker_killed,
            self.on.frozen,
            self.disk_full,
            self.frozen_and_killed,
            *self.on.others(),
        ]
        lot.shuffle(faults)
        wrong: list[str] = []
        for fault in [None, *faults]:
            if fault is not None:
                with fault():
                    await asyncio.sleep(FAULT)
            wrong += await self.recovered(fault, clients)
            begun = time.monotonic()
            await asyncio.sleep(CALM)
            calm.append((begun, time.monotonic()))
        over.set()
        await asyncio.wait_for(running, 90)
        wrong += await self.quiet(clients)
        rows = [row for row in self.ledger() if row.id not in first_row]
        money = Money.of(self.provider.calls, rows)
        wrong += money.wrong(clients.plain)
        wrong += delivered_is_lost(rows, clients)
        wrong += readiness_lied(clients)
        wrong += shares_are_unfair(self.provider, clients, calm)
        (spent,) = self.on.rows(
            "SELECT sum(u.spent), (SELECT sum(cost) FROM requests WHERE api_key <> '') FROM"
            " budget_usage u JOIN budget_accounts a ON a.id = u.account_id"
            " JOIN budgets b ON b.id = a.budget_id WHERE b.name = 'all'"
        )
        # SQLite sums floats: all ten places of an amount, so that no tie is rounded either way.
        counted, recorded = (round(Decimal(str(money)), 10) for money in spent)
        if counted != recorded:
            wrong.append(f"the budget counts {counted}, the ledger {recorded}")
        grown = self.memory() - self.warm
        if grown > MEMORY:
            wrong.append(f"a worker has grown by {grown:.0f} MiB")
        _report(
            f"seed {seed}: {len(self.provider.calls)} calls, {len(clients.delivered)} delivered,"
            f" {len(clients.refusals)} refused for want of records, {grown:+.0f} MiB;"
            f" {money}"
        )
        for what in wrong:
            _report(f"  WRONG: {what}")
        return wrong

    async def listens(self) -> None:
        """A process that was started again needs its time, of which nothing is asked."""

        async def answers() -> bool:
            return await exchange(self.service.port, head_of("GET", "/ready", ""), b"") is not None

        await eventually(answers)

    async def recovered(self, fault: Any, clients: AuditClients) -> list[str]:
        await self.listens()
        begun = time.monotonic()

        def all_served() -> bool:
            """For a second now, and nobody was refused.

            The hostile clients of a tenant may use its whole share.
            """
            now = time.monotonic()
            lately = [one for one in clients.honest if one[0] > max(begun, now - 1)]
            outcomes = {outcome for _, _, outcome in lately}
            busy = HOSTILE_TENANTS & {call.tenant for call in self.provider.calls if not call.ended}
            served = busy | {tenant for _, tenant, _ in lately}
            return now > begun + 1 and outcomes == {"ok"} and len(served) == 4

        name = fault.__name__ if fault is not None else "beginning"
        try:
            await eventually(all_served)
        except TimeoutError:
            last = {outcome for at, _, outcome in clients.honest if at > time.monotonic() - 5}
            return [f"not all were served again after {name}: {last}"]
        took = time.monotonic() - begun
        _report(f"  all tenants are served {took:.1f} s after {name}")
        if took <= RECOVERY:
            return []
        others = [
            f"{at - begun:.1f} s tenant {tenant}: {outcome}"
            for at, tenant, outcome in clients.honest
            if at > begun and outcome != "ok"
        ]
        return [f"all were served again only {took:.1f} s after {name}: {others}"]

    async def quiet(self, clients: AuditClients) -> list[str]:
        """Nobody asks any more: what is held, and what waits, is settled."""

        def settled() -> bool:
            with suppress(Exception):
                ((held,),) = self.on.rows("SELECT count(*) FROM budget_holds")
                return not held and not delivered_is_lost(self.ledger(), clients)
            return False

        wrong = []
        try:
            async with asyncio.timeout(40):
                await eventually(lambda: not self.provider.running)
                await eventually(settled)
        except TimeoutError:
            wrong.append(f"{len(self.provider.running)} calls of the provider still run")
            held = self.on.rows("SELECT request_id, made_at, lost_at FROM budget_holds")
            wrong.append(f"{len(held)} holds remain: {held[:5]}")
        return wrong

    def ledger(self) -> list[Row]:
        return [Row.of(values) for values in self.on.rows(ROWS.format(id=self.on.id))]


@asynccontextmanager
async def audit(on: Any, disk: Path, tmp_path: Path) -> AsyncIterator[Audit]:
    async with billing_provider(SEED) as provider:
        models = tmp_path / "catalogue.toml"
        models.write_text(catalogue(provider.url))
        Audited.log = tmp_path / "service.log"
        service = Audited(
            disk, provider.url, **{**LIMITS, **on.environment, "CATALOGUE_FILE": str(models)}
        )
        try:
            running = Audit(service, on, disk, provider)
            await running.listens()
            await asyncio.to_thread(running.prepare)
            over = asyncio.Event()
            warming = AuditClients(service.port, running.keys, SEED)
            task = asyncio.create_task(warming.run(over, hostile=False))
            await asyncio.sleep(CALM)
            over.set()
            await task
            running.warm = running.memory()
            yield running
        finally:
            service.kill()


def _report(text: str) -> None:
    print(text, flush=True)  # noqa: T201


async def audited(on: Any, disk: Path, tmp_path: Path) -> None:
    _report(f"AUDIT_SEED={SEED} AUDIT_RUNS={RUNS} AUDIT_SECONDS={CALM}")
    wrong: list[str] = []
    async with audit(on, disk, tmp_path) as running:
        for number in range(RUNS):
            wrong += [f"run {number}: {what}" for what in await running.round(SEED + number)]
    assert not wrong, "\n".join(wrong)


async def test_one_worker_on_sqlite(disk: Path, tmp_path: Path) -> None:
    await audited(OnSqlite(disk), disk, tmp_path)


async def test_four_workers_on_postgresql_and_redis(
    disk: Path, tmp_path: Path, postgres: Postgres, redis: RedisServer
) -> None:
    await audited(OnServices(postgres, redis), disk, tmp_path)
