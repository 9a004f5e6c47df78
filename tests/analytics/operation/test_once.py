"""What operators change is changed and recorded once."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.core.exceptions import ValidationError

from analytics.access.audit import Actor
from analytics.models import ModelEntry, ProviderKey, RoutingRule, RuleChange
from analytics.operation.model_entries import model_entry_save
from analytics.operation.provider_keys import provider_key_add, provider_key_remove
from analytics.rules import rule_delete
from routing.models import ModelRef

pytestmark = pytest.mark.django_db
ANN = Actor("ann")


def test_a_key_that_two_remove_is_removed_once() -> None:
    key = provider_key_add("claude", "sk-ant-long-enough-123", who=ANN)
    again = ProviderKey.objects.get()

    assert [provider_key_remove(each, who=ANN) for each in (key, again)] == [True, False]

    assert LogEntry.objects.filter(action_flag=DELETION).count() == 1


def test_a_rule_that_two_delete_is_recorded_once() -> None:
    RoutingRule.objects.create(name="r", action="force", tags=["a"], model_names=["m"])
    first, second = RoutingRule.objects.get(), RoutingRule.objects.get()

    rule_delete(first, who="ann")
    rule_delete(second, who="bob")

    assert [change.who for change in RuleChange.objects.all()] == ["ann"]


def test_a_model_that_two_add_is_added_once() -> None:
    ref, fields = ModelRef("openai", "our-tune"), {"tier": "simple", "context_window": 8_000}

    model_entry_save(ref, fields, who=ANN, is_new=True)
    with pytest.raises(ValidationError, match="already"):
        model_entry_save(ref, {**fields, "tier": "complex"}, who=Actor("bob"), is_new=True)

    assert ModelEntry.objects.get().tier == "simple"
