"""Two developers of one team, each with a key of their own and requests made with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from analytics.access.developers import developer_add
from analytics.access.own_keys import own_key_make
from analytics.models import ApiKey, Developer, KeyTemplate, RequestRecord, Team
from tests.factories import CachedResponseFactory, RequestRecordFactory, RoutingMetricFactory

PASSWORD = "kangaroo-lamp-41"


@dataclass
class Person:
    """A developer: the account, a key, and what was asked with it."""

    developer: Developer
    account: User
    key: ApiKey
    secret: str
    request: RequestRecord

    @property
    def browser(self) -> Client:
        """A browser in which they have signed in."""
        client = Client()
        client.force_login(self.account)
        return client


def person(name: str, template: KeyTemplate | None = None, **request: Any) -> Person:
    """Somebody with an account, a key made by the template, and a request in a session."""
    if template is None:
        team = Team.objects.get_or_create(name="red")[0]
        template = KeyTemplate.objects.get_or_create(
            name="red", defaults={"team": team, "budget": Decimal(5), "days": 30}
        )[0]
    account = User.objects.create_user(name, password=PASSWORD)
    developer = developer_add(Developer(name=name, account=account, template=template))
    made = own_key_make(developer, label="laptop")
    values = {
        "created_at": datetime.now(UTC), "api_key": made.key.prefix, "tenant": "team:red",
        "user_id": name, "prompt": f"A secret of {name}", "session_id": "shared-run",
        "cost": Decimal("0.25"), **request,
    }  # fmt: skip
    row = RequestRecordFactory(**values)
    RoutingMetricFactory(request=row)
    CachedResponseFactory(
        cache_key=row.cache_key, prompt=row.prompt, response=f"Told {name}",
        created_at=row.created_at,
    )  # fmt: skip
    return Person(developer, account, made.key, made.secret, row)


@pytest.fixture
def ann(db: None) -> Person:
    return person("ann")


@pytest.fixture
def bob(db: None) -> Person:
    return person("bob", cost=Decimal("7.75"))
