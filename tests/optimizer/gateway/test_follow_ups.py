"""Judges that operators replace: they end what they began, and are released then."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from analytics.access.audit import MANAGEMENT_API, Actor
from analytics.models import Comparison
from optimizer.wiring.build import get_services
from tests.conftest import Start
from tests.fakes.server import FakeProvider
from tests.optimizer.quality.test_judge import ASKED, BASELINE, JUDGE, verdicts_by
from tests.patience import eventually


@pytest.fixture
def judging(transactional_db: None, fakes: dict[str, FakeProvider], settings: Any) -> None:
    settings.JUDGE_MODEL, settings.JUDGE_RATE = JUDGE, 1.0
    settings.RESPONSE_CACHE = False
    fakes["gemini"].wire = verdicts_by(lambda first, second: "tie")


def judge_in_force() -> Callable[[], object]:
    """A weak reference to the judge: what else holds it must let it go."""
    judge = get_services().quality.judging.watchers.judge
    assert judge is not None
    return weakref.ref(judge)


@sync_to_async
def replace_judge(budget: str) -> None:
    get_services().quality.change({"judge_daily_budget": budget}, who=Actor(MANAGEMENT_API))


async def released(judge: Callable[[], object]) -> bool:
    await asyncio.sleep(0)
    gc.collect()
    return judge() is None


@pytest.mark.usefixtures("judging")
async def test_a_replaced_judge_ends_its_work_and_is_released(start: Start, fakes) -> None:
    client, gate = await start(), asyncio.Event()
    fakes["gemini"].gate = gate
    body = {"model": "claude-haiku-5-5", "messages": ASKED, **BASELINE}
    answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200
    judge = judge_in_force()
    await replace_judge("7")

    assert not await released(judge)
    gate.set()
    await eventually(lambda: released(judge))
    assert await Comparison.objects.acount() == 1


@pytest.mark.usefixtures("judging")
async def test_a_judge_that_began_nothing_is_released_at_once(start: Start) -> None:
    await start()
    judge = judge_in_force()
    await replace_judge("7")

    assert await released(judge)
