"""Budgets that come with a key: one of a single key, or one of all that a developer asks."""

from __future__ import annotations

from django.db import transaction

from analytics.access.keys import NewKey, key_make
from analytics.access.versioned_rows import save_versioned
from analytics.budgets.opening import budget_open
from analytics.models import ApiKey, Budget, Developer, KeyTemplate

_NAME = 100


@transaction.atomic
def key_make_with_budget(key: ApiKey, budget: Budget | None) -> NewKey:
    """Make ``key`` and, with it, a ``budget`` of what this key and its successors spend.

    Raises Django's ``ValidationError``.
    """
    made = key_make(key)
    if budget is not None:
        budget.name = budget.name or f"Key {key.name}"[:_NAME]
        budget.scope, budget.subject = Budget.Scope.KEY, made.key.prefix
        budget_open(budget)
    return made


def template_apply(template: KeyTemplate) -> None:
    """Give the budgets of the template's developers its amounts.

    Those who have made no key yet get their budget with their first one.
    """
    people = template.developers.filter(keys__template__isnull=False).distinct()
    for developer in people.select_related("budget"):
        developer.template = template
        developer_budget_keep(developer)


@transaction.atomic
def developer_template_set(developer: Developer, template: KeyTemplate | None) -> None:
    """Give a developer another template, and its budget with it if they have made keys."""
    developer.template = template
    developer.save()
    if developer.keys.filter(template__isnull=False).exists():
        developer_budget_keep(developer)


def developer_budget_keep(developer: Developer) -> None:
    """Give the developer's budget the amount and period of their template.

    It counts everything that is asked in their name. What was spent in the period stays spent,
    whatever keys are revoked and made.
    """
    template = developer.template
    if template is None:
        return
    current = developer.budget
    wanted = None if template.budget is None else _budget_of(developer, template)
    if current is not None and current != wanted and current.enabled:
        current.enabled = False
        save_versioned(current)
    if current != wanted:
        developer.budget = wanted
        developer.save(update_fields=["budget"])


def _budget_of(developer: Developer, template: KeyTemplate) -> Budget:
    name = f"{developer.name}: own keys, {template.period}"
    own = Budget.objects.filter(
        name=name, scope=Budget.Scope.USER, subject=developer.name, period=template.period
    )
    budget = own.first()
    if budget is None:
        budget = Budget(
            name=name,
            scope=Budget.Scope.USER,
            subject=developer.name,
            period=template.period,
            limit=template.budget,
            at_limit=template.at_limit,
        )
        budget_open(budget)
    elif (budget.limit, budget.at_limit, budget.enabled) != (
        template.budget, template.at_limit, True,
    ):  # fmt: skip
        budget.limit, budget.at_limit, budget.enabled = template.budget, template.at_limit, True
        if budget.soft_limit is not None and budget.soft_limit > budget.limit:
            budget.soft_limit = None
        save_versioned(budget)
    return budget
