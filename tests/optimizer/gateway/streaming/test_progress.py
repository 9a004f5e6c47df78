"""The proof of a call says how far it has come, for whoever settles it after its worker died."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from asgiref.sync import sync_to_async

from analytics.budgets.begun_calls import CallProgress, Proof, proof_of
from analytics.ledger.lost_calls import LOST, calls_settle
from analytics.models import BudgetHold, RequestRecord
from optimizer.gateway.streaming import progress
from optimizer.wiring.build import get_services
from optimizer.wiring.installation.folders import begun_calls_folder
from providers.token_estimates import estimate_thousandths, estimate_tokens
from tests.conftest import Start
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import anthropic_message
from tests.optimizer.budgets.test_reservations import limit
from tests.optimizer.server.test_slow_readers import BLOCK, START, delta, event
from tests.patience import eventually

CHAT = {
    "model": "claude-haiku-5-5", "max_tokens": 4_000,
    "messages": [{"role": "user", "content": "Count to a thousand."}],
}  # fmt: skip


def proof() -> Proof:
    return proof_of(begun_calls_folder(), get_services().budgets.worker)


async def known() -> CallProgress | None:
    held = await BudgetHold.objects.afirst()
    return None if held is None else proof().progress(held.request_id)


async def test_a_stream_is_noted_while_it_arrives(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, monkeypatch: Any
) -> None:
    monkeypatch.setattr(progress, "_NOTE_SECONDS", 0.0)
    client = await start()
    await limit("100")
    chunks = [event(START), event(BLOCK), *([delta("word ")] * 400)]
    headers = {"content-type": "text/event-stream"}
    fakes["claude"].next(Reply(chunks=chunks, headers=headers, pause=0.05))
    asking = asyncio.create_task(client.post("/v1/messages", json={**CHAT, "stream": True}))

    async def has_begun() -> bool:
        now = await known()
        return now is not None and (now.tokens_out or 0) >= 20

    await eventually(has_begun)
    noted = await known()
    held = await BudgetHold.objects.afirst()
    assert noted is not None
    assert noted.tokens_out is not None
    assert held is not None
    assert held.estimate is not None
    assert 20 <= noted.tokens_out < 400
    assert Decimal(0) < noted.cost < held.estimate
    # As if the worker had died now.
    await sync_to_async(calls_settle)([held.request_id], proof())
    row = await RequestRecord.objects.aget(pk=held.request_id)
    assert row.error_code == LOST
    assert 20 <= row.tokens_out < 400
    assert row.cost is not None
    assert row.cost < held.estimate
    asking.cancel()


async def test_a_whole_answer_is_unknown_until_it_arrives(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start
) -> None:
    client = await start()
    await limit("100")
    gate = fakes["claude"].gate = asyncio.Event()
    asking = asyncio.create_task(client.post("/v1/messages", json=CHAT))
    await eventually(lambda: fakes["claude"].asked)
    noted = await known()
    assert noted is not None
    assert noted.tokens_out is None
    assert noted.cost > 0
    held = await BudgetHold.objects.afirst()
    gate.set()
    fakes["claude"].next(Reply(anthropic_message("claude-haiku-5-5")))
    assert (await asking).status_code == 200
    assert held is not None
    arrived = proof().progress(held.request_id)
    row = await RequestRecord.objects.aget(pk=held.request_id)
    assert arrived == CallProgress(row.tokens_in, row.tokens_out, row.cost or Decimal(-1))


def test_the_thousandths_of_pieces_add_up() -> None:
    pieces = ["The quick brown ", "fox, 12 of", " them; é", " ja"]
    total = sum(map(estimate_thousandths, pieces))
    assert -(-total // 1000) == estimate_tokens("".join(pieces))
