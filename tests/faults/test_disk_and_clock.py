"""A disk without room, a clock that jumps."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Serve
from tests.faults.crowd import Crowd, all_recorded
from tests.faults.servers import Postgres
from tests.patience import eventually

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_an_answer_that_can_be_kept_nowhere_is_not_given(
    serve: Serve, postgres: Postgres, small_disk: Path
) -> None:
    _, client = await serve(small_disk)
    crowd = Crowd(client)
    async with crowd.asking(clients=4):
        await crowd.more(20)
    await asyncio.to_thread(postgres.kill)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"\0" * 4096)

    async def told(status: int) -> bool:
        response = await crowd.ask()
        assert response is not None
        return response.status_code == status

    await eventually(lambda: told(503))
    assert (await client.get("/ready")).status_code == 503
    filler.unlink()
    await eventually(lambda: told(200))
    assert (await client.get("/ready")).status_code == 200
    await asyncio.to_thread(postgres.start)
    await all_recorded(postgres, crowd)


async def test_the_clock_jumps_a_day_and_back(
    serve: Serve, postgres: Postgres, tmp_path: Path
) -> None:
    if LIBRARY is None:
        pytest.skip("libfaketime is not installed")
    offset = tmp_path / "offset"
    offset.write_text("+0\n")
    service, client = await serve(
        LD_PRELOAD=str(LIBRARY),
        FAKETIME_TIMESTAMP_FILE=str(offset),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    crowd = Crowd(client)
    async with crowd.asking(clients=4, pause=0.02):
        for jump in ("+1d", "+0", "-1d", "+0"):
            await crowd.more(20)
            replaced = tmp_path / "offset.new"
            replaced.write_text(f"{jump}\n")
            replaced.replace(offset)
            await crowd.more(30)
            assert (await client.get("/health")).status_code == 200
    assert set(crowd.statuses) == {200}
    assert service.process.poll() is None
    await all_recorded(postgres, crowd)
    # Each request stands on the day that it was told it was, and each day adds up.
    days = postgres.rows(
        "SELECT (created_at AT TIME ZONE 'UTC')::date, count(*), sum(cost) FROM requests"
        " GROUP BY 1 ORDER BY 1"
    )
    assert len(days) >= 3
    assert days == postgres.rows(
        "SELECT date, sum(requests), sum(cost) FROM daily_totals GROUP BY 1 ORDER BY 1"
    )
