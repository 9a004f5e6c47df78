"""The paths of the management API, below ``/api/v1/manage/``."""

from __future__ import annotations

from typing import Any

from django.urls import path

from optimizer.api.manage.alerts import ManagedAlertsViewSet
from optimizer.api.manage.budgets import ManagedBudgetsViewSet
from optimizer.api.manage.catalogue_models import ManagedModelsViewSet
from optimizer.api.manage.key_templates import ManagedKeyTemplatesViewSet
from optimizer.api.manage.keys import ManagedKeysViewSet
from optimizer.api.manage.levers import ManagedLeversViewSet
from optimizer.api.manage.notifications import ManagedChannelsViewSet, ManagedDigestsViewSet
from optimizer.api.manage.prices import ManagedPricesViewSet
from optimizer.api.manage.providers import (
    ManagedProvidersViewSet,
    ProviderKeysViewSet,
    ProviderTestViewSet,
)
from optimizer.api.manage.routing.pools import ManagedPoolsViewSet
from optimizer.api.manage.routing.shadow import ManagedShadowMovesViewSet, ManagedShadowViewSet
from optimizer.api.manage.rules import ManagedRulesViewSet
from optimizer.api.manage.settings import ManagedAutopilotViewSet, ManagedSettingsViewSet

_LIST: dict[str, Any] = {"get": "list"}
_ROWS: dict[str, Any] = {**_LIST, "post": "create"}
_SHOW: dict[str, Any] = {"get": "retrieve"}
_ROW: dict[str, Any] = {**_SHOW, "patch": "partial_update"}
_CREATE: dict[str, Any] = {"post": "create"}
_DELETE: dict[str, Any] = {"delete": "destroy"}
_TEST: dict[str, Any] = {"post": "test"}

urlpatterns = [
    path("providers", ManagedProvidersViewSet.as_view(_LIST), name="providers"),
    path("providers/<str:name>", ManagedProvidersViewSet.as_view(_SHOW), name="provider"),
    path("providers/<str:name>/keys", ProviderKeysViewSet.as_view(_CREATE), name="provider-keys"),
    path(
        "providers/<str:name>/keys/<int:number>",
        ProviderKeysViewSet.as_view(_DELETE),
        name="provider-key",
    ),
    path("providers/<str:name>/test", ProviderTestViewSet.as_view(_CREATE), name="provider-test"),
    path("pools", ManagedPoolsViewSet.as_view(_LIST), name="pools"),
    path("pools/<str:provider>", ManagedPoolsViewSet.as_view(_SHOW), name="pool"),
    path("models", ManagedModelsViewSet.as_view(_ROWS), name="models"),
    # The ids of some models have slashes.
    path(
        "models/<str:provider>/<path:model>",
        ManagedModelsViewSet.as_view({**_ROW, **_DELETE}),
        name="model",
    ),
    path("prices", ManagedPricesViewSet.as_view(_ROWS), name="prices"),
    path("prices/<int:number>", ManagedPricesViewSet.as_view({**_ROW, **_DELETE}), name="price"),
    path("levers", ManagedLeversViewSet.as_view(_LIST), name="levers"),
    path("levers/<str:name>", ManagedLeversViewSet.as_view(_ROW), name="lever"),
    path("rules", ManagedRulesViewSet.as_view(_ROWS), name="rules"),
    path("rules/<int:number>", ManagedRulesViewSet.as_view({**_ROW, **_DELETE}), name="rule"),
    path(
        "settings",
        ManagedSettingsViewSet.as_view({**_LIST, "patch": "partial_update"}),
        name="settings",
    ),
    path("shadow", ManagedShadowViewSet.as_view(_SHOW), name="shadow"),
    path(
        "shadow/moves",
        ManagedShadowMovesViewSet.as_view({**_LIST, **_CREATE}),
        name="shadow-moves",
    ),
    path(
        "shadow/moves/undo",
        ManagedShadowMovesViewSet.as_view({"post": "undo"}),
        name="shadow-undo",
    ),
    path("budgets", ManagedBudgetsViewSet.as_view(_ROWS), name="budgets"),
    path("budgets/<int:number>", ManagedBudgetsViewSet.as_view(_ROW), name="budget"),
    path("keys", ManagedKeysViewSet.as_view(_ROWS), name="keys"),
    path("keys/<int:number>", ManagedKeysViewSet.as_view(_ROW), name="key"),
    path("keys/<int:number>/rotate", ManagedKeysViewSet.as_view({"post": "rotate"}), name="rotate"),
    path("keys/<int:number>/revoke", ManagedKeysViewSet.as_view({"post": "revoke"}), name="revoke"),
    path("key-templates", ManagedKeyTemplatesViewSet.as_view(_ROWS), name="key-templates"),
    path(
        "key-templates/<int:number>",
        ManagedKeyTemplatesViewSet.as_view(_ROW),
        name="key-template",
    ),
    path("alerts", ManagedAlertsViewSet.as_view(_ROWS), name="alerts"),
    path("alerts/<int:number>", ManagedAlertsViewSet.as_view({**_ROW, **_DELETE}), name="alert"),
    path("alerts/<int:number>/mute", ManagedAlertsViewSet.as_view({"post": "mute"}), name="mute"),
    path(
        "alerts/<int:number>/unmute",
        ManagedAlertsViewSet.as_view({"post": "unmute"}),
        name="unmute",
    ),
    path("alerts/<int:number>/test", ManagedAlertsViewSet.as_view(_TEST), name="alert-test"),
    path("channels", ManagedChannelsViewSet.as_view(_ROWS), name="channels"),
    path(
        "channels/<int:number>",
        ManagedChannelsViewSet.as_view({**_ROW, **_DELETE}),
        name="channel",
    ),
    path("channels/<int:number>/test", ManagedChannelsViewSet.as_view(_TEST), name="channel-test"),
    path("digests", ManagedDigestsViewSet.as_view(_ROWS), name="digests"),
    path("digests/<int:number>", ManagedDigestsViewSet.as_view({**_ROW, **_DELETE}), name="digest"),
    path("digests/<int:number>/test", ManagedDigestsViewSet.as_view(_TEST), name="digest-test"),
    path(
        "autopilot",
        ManagedAutopilotViewSet.as_view({**_SHOW, "patch": "partial_update"}),
        name="autopilot",
    ),
]
