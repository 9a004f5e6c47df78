"""The autopilot in the service: who answers, who is compared, and what is recorded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from analytics.autopilot.uses import uses_allow, uses_taken
from analytics.models import AutopilotPair, AutopilotTrial, Comparison, RequestRecord
from optimizer.policies.experiments import arm_of
from optimizer.wiring.build import get_services
from tests.conftest import Start
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.fakes.wires import anthropic_message
from tests.optimizer.quality.test_judge import JUDGE, verdicts_by

USUAL, TRIED = "claude-haiku-5-5", "claude-sonnet-5-5"


@pytest.fixture
async def begin(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, settings: Any
) -> Callable[[], Any]:
    """A service with the autopilot on; the model on trial says Paris, others Lyon."""
    settings.AUTOPILOT, settings.AUTOPILOT_RATE, settings.AUTOPILOT_SHARE = True, 1.0, 0.5
    settings.JUDGE_MODEL, settings.JUDGE_RATE = JUDGE, 0.0
    settings.AUTOPILOT_DAILY_BUDGET = 100

    def answer(asked: Asked) -> Reply:
        model = asked.body["model"]
        return Reply(anthropic_message(model, "Paris" if model == TRIED else "Lyon"))

    fakes["claude"].wire = answer
    fakes["gemini"].wire = verdicts_by(lambda first, _: "first" if first == "Paris" else "second")
    return start


async def on_trial(state: str, *, allowed: int = 0, **fields: Any) -> AutopilotTrial:
    trial = await AutopilotTrial.objects.acreate(
        provider="claude", model=TRIED, tier="simple", state=state, **fields
    )
    if allowed:
        await sync_to_async(uses_allow)(trial, datetime.now(UTC).date(), allowed)
    await reread()
    return trial


async def reread() -> None:
    await get_services().in_background(get_services().routing._analyzer.autopilot.refresh)


async def ask(client: httpx.AsyncClient, session: str, model: str = "auto") -> str:
    response = await client.post(
        "/v1/chat/completions",
        json={
            "model": model,
            "messages": [{"role": "user", "content": f"What is the capital of {session}?"}],
            "optimizer": {"session_id": session},
        },
    )
    assert response.status_code == 200, response.text
    await get_services().routing.drain()
    return response.headers["x-optimizer-model"]


def session_in(trial: AutopilotTrial, arm: str, share: float = 0.5) -> str:
    """A session that is in this arm of the trial."""
    return next(f"s{n}" for n in range(1000) if arm_of(trial.name, f"\0s{n}", share) == arm)


async def test_in_the_shadow_clients_notice_nothing(begin) -> None:
    client = await begin()
    trial = await on_trial("shadow")
    assert await ask(client, "one") == USUAL
    pair = await AutopilotPair.objects.select_related("comparison").aget()
    assert (pair.trial_id, pair.score, pair.live) == (trial.pk, 1.0, False)
    assert (pair.comparison.model, pair.comparison.reference_model) == (TRIED, USUAL)
    assert pair.saved < 0  # the model on trial is the dearer one
    assert (await RequestRecord.objects.aget()).experiment == ""
    assert await ask(client, "one") == USUAL
    assert await AutopilotPair.objects.acount() == 1


async def test_live_a_share_gets_it_as_long_as_requests_are_left(begin) -> None:
    client = await begin()
    trial = await on_trial("live", allowed=1)
    treated, control = session_in(trial, "treatment"), session_in(trial, "control")
    assert await ask(client, control) == USUAL
    assert await ask(client, treated) == TRIED
    rows = {row.session_id: row async for row in RequestRecord.objects.all()}
    assert (rows[treated].experiment, rows[treated].arm) == (trial.name, "treatment")
    assert (rows[control].experiment, rows[control].arm) == (trial.name, "control")
    scores = {
        pair.live: (pair.score, pair.comparison.model)
        async for pair in AutopilotPair.objects.select_related("comparison")
    }
    # Where it served, the model in its place gives the second answer, and loses.
    assert scores == {True: (1.0, USUAL), False: (1.0, TRIED)}
    await reread()
    assert await ask(client, f"{treated} again") in {USUAL, TRIED}
    assert await sync_to_async(uses_taken)(trial) == 1
    assert await ask(client, treated) == USUAL


async def test_moved_all_but_a_share_get_it(begin) -> None:
    client = await begin()
    trial = await on_trial("moved")
    assert await ask(client, session_in(trial, "treatment")) == TRIED
    assert await ask(client, session_in(trial, "control")) == USUAL
    # Neither a named model nor another strategy is concerned.
    assert await ask(client, session_in(trial, "treatment"), "claude-opus-5-5") == "claude-opus-5-5"
    assert await ask(client, session_in(trial, "treatment"), "auto:cheapest") != TRIED
    explained = await client.get("/recommendation", params={"prompt": "What is the capital?"})
    assert explained.json()["model"] == TRIED


async def test_a_new_model_is_held_back_unless_no_other_can_answer(begin, settings) -> None:
    client = await begin()
    await AutopilotTrial.objects.acreate(
        provider="claude", model=USUAL, tier="simple", state="rejected", held=True
    )
    await reread()
    assert await ask(client, "one") != USUAL
    assert await ask(client, "one", USUAL) == USUAL
    for option in get_services().options.options():
        if option.model != USUAL:
            await AutopilotTrial.objects.acreate(
                provider=option.provider, model=option.model, tier="simple", state="rejected",
                held=True,
            )  # fmt: skip
    await reread()
    assert await ask(client, "two")


async def test_off_it_has_no_effect(begin, settings) -> None:
    settings.AUTOPILOT = False
    client = await begin()
    trial = await on_trial("moved")
    assert not get_services().routing._analyzer.autopilot.any
    assert await ask(client, session_in(trial, "treatment")) == USUAL
    assert not await Comparison.objects.aexists()


@pytest.mark.parametrize("missing", ["judge", "guarantee"])
async def test_it_does_nothing_without_a_judge_or_beside_a_guarantee(
    begin, settings, caplog, missing: str
) -> None:
    if missing == "judge":
        settings.JUDGE_MODEL = ""
    else:
        settings.GUARANTEE_REFERENCE = "claude-opus-5-5"
    await begin()
    assert get_services().routing._analyzer.autopilot is None
    assert "The autopilot does nothing" in caplog.text


async def test_its_task_notices_the_catalogue(begin) -> None:
    await begin()
    services = get_services()
    await services.in_background(services.periodic_tasks.do, "Running the autopilot")
    assert not await AutopilotTrial.objects.aexists()
