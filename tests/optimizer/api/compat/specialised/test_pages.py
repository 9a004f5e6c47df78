"""The control room shows what models that do one thing billed."""

from __future__ import annotations

import httpx

from tests.conftest import logged_in
from tests.optimizer.api.compat.specialised.conftest import IMAGE, record_of


async def test_the_admin_shows_what_was_billed(http: httpx.AsyncClient) -> None:
    await http.post("/v1/audio/speech", json={"model": "tts-1", "input": "Good morning"})
    await http.post("/v1/images/generations", json=IMAGE)
    browser = await logged_in("operator")
    listed = (await browser.get("/admin/analytics/requestrecord/")).content.decode()
    assert "12 characters" in listed
    record = await record_of("images/generations")
    page = (await browser.get(f"/admin/analytics/requestrecord/{record.pk}/change/")).content
    assert "It was billed by 1 image (low 1024x1024)." in page.decode()
    models = (await browser.get("/admin/models/")).content.decode()
    assert "$15 per million characters" in models
