"""What every SDK's loop must leave behind."""

from __future__ import annotations

from analytics.models import BudgetHold, RequestRecord
from optimizer.wiring.build import get_services
from tests.optimizer.api.compat.conversation.conftest import AUTHORS
from tests.optimizer.api.compat.conversation.conversation import Partner

MODELS = {provider: f"{provider}/{model}" for provider, (_, _, model) in AUTHORS.items()}


async def check_loops(partners: dict[str, Partner]) -> None:
    """Nothing was refused by a strict model, and all requests are recorded and settled.

    A thread that only Claude can hold is refused, and the SDK sends the whole conversation.
    """
    assert [words for p in partners.values() for words in p.author.refusals] == []
    await get_services().refusals.drain()
    rows = [record async for record in RequestRecord.objects.all()]
    records = [record for record in rows if record.status != "refused"]
    assert {row.endpoint for row in rows if row.status == "refused"} <= {"messages"}
    assert len(records) >= sum(len(p.fake.asked) for p in partners.values()) > 0
    assert {record.status for record in records} == {"ok"}
    assert all(record.cost for record in records)
    assert not await BudgetHold.objects.aexists()
