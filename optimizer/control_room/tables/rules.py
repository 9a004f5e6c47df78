"""Model admins of routing rules: write, test and enable them, and see the history of changes."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from analytics.admin.fields import ChoicesField, LinesField
from analytics.admin.history import ReadOnlyAdmin
from analytics.admin.plain_values import PlainListsMixin, plain_words
from analytics.models import RoutingRule, RuleChange
from analytics.rules import rule_delete, rule_fields, rule_save
from optimizer.wiring.build import get_services
from routing.models import TIERS
from routing.patterns import PATTERNS
from routing.rule_parser import TURNS, WEEKDAYS, RuleError, read_rule

_TRIAL_REQUESTS = 1000


class RuleForm(forms.ModelForm):
    """A routing rule; each error is shown at its field."""

    patterns = ChoicesField(PATTERNS)
    tiers = ChoicesField(TIERS, help_text="Tier of the prompt, by its complexity.")
    weekdays = ChoicesField(WEEKDAYS)
    turns = ChoicesField(TURNS, help_text="Kind of turn in a session of an agent.")
    agents = LinesField(
        help_text="One per line: claude-code, codex, gemini-cli, opencode or chat. * and ? are "
        "wildcards."
    )
    requested_models = LinesField(
        help_text="One per line: model names as clients write them. * and ? are wildcards."
    )
    tags = LinesField(help_text="One per line. A request with any of them matches.")
    users = LinesField(help_text="One per line. * and ? are wildcards.")
    texts = LinesField(help_text="One per line. Matched anywhere in the prompt, ignoring case.")
    model_names = LinesField(
        label="Models", help_text="One per line: provider/model or model. * and ? are wildcards."
    )

    residency = LinesField(
        help_text="One region per line, such as eu: the data stays within all of them. Empty: "
        "anywhere."
    )

    class Meta:
        model = RoutingRule
        fields = (
            "name", "position", "enabled", "note", "patterns", "tiers", "turns", "agents",
            "requested_models", "only_text", "tags", "users", "texts", "min_tokens", "max_tokens",
            "weekdays", "since", "until", "zone", "action", "model_names", "quality_target",
            "cost_cap", "latency_cap", "deadline", "answer_note", "note_everywhere", "residency",
        )  # fmt: skip

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            read_rule(rule_fields(self.instance))
        except RuleError as error:
            form_field = "model_names" if error.field == "models" else error.field
            self.add_error(form_field, ValidationError(error.message))


@admin.register(RoutingRule)
class RoutingRuleAdmin(PlainListsMixin, admin.ModelAdmin):
    """Routing rules, with an action that tests them on past requests."""

    form = RuleForm
    list_display = ("position", "name", "enabled", "action", "models_named", "note")
    list_display_links = ("name",)
    list_filter = ("enabled", "action")
    search_fields = ("name", "note")
    actions = ("try_selected",)
    fieldsets = (
        (None, {"fields": ("name", "position", "enabled", "note")}),
        (
            "Conditions (a request must meet all that are set)",
            {
                "fields": (
                    "patterns", "tiers", "turns", "agents", "requested_models", "only_text",
                    "tags", "users", "texts",
                    ("min_tokens", "max_tokens"),
                    "weekdays", ("since", "until", "zone"),
                )
            },
        ),
        (
            "Action",
            {
                "fields": (
                    "action", "model_names", "quality_target", "cost_cap", "latency_cap",
                    "deadline", "answer_note", "note_everywhere", "residency",
                )
            },
        ),
    )  # fmt: skip

    @admin.display(description="models")
    def models_named(self, rule: RoutingRule) -> str:
        """Return the models that the rule names."""
        return ", ".join(rule.model_names) or "–"

    def save_model(self, request: HttpRequest, obj: RoutingRule, form: Any, change: bool) -> None:
        """Save the rule, and record who changed it."""
        rule_save(obj, who=request.user.get_username())

    def delete_model(self, request: HttpRequest, obj: RoutingRule) -> None:
        """Delete the rule, and record who deleted it."""
        rule_delete(obj, who=request.user.get_username())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[RoutingRule]) -> None:
        """Delete the rules one by one, so that each deletion is recorded."""
        for rule in queryset:
            rule_delete(rule, who=request.user.get_username())

    @admin.action(
        description="Try on past requests, together with the active rules", permissions=["view"]
    )
    def try_selected(self, request: HttpRequest, queryset: QuerySet[RoutingRule]) -> HttpResponse:
        """Decide past requests again with the selected and the active rules, and show changes."""
        services = get_services()
        services.rules.refresh()
        rules = services.rules.together_with([rule.name for rule in queryset])
        trial = services.rule_previews.of_last(_TRIAL_REQUESTS, rules)
        context = {
            **self.admin_site.each_context(request),
            "title": "Rules tried on past requests",
            "opts": self.opts,
            "trial": trial,
            "rules": [(rule.name, trial.matched[rule.name]) for rule in rules],
            "mix": [
                (ref, trial.before[ref], trial.after[ref])
                for ref in sorted({*trial.before, *trial.after})
            ],
            "refused": trial.unservable.most_common(),
        }
        return TemplateResponse(request, "admin/rules/trial.html", context)


@admin.register(RuleChange)
class RuleChangeAdmin(ReadOnlyAdmin):
    """The history of changes to rules, read-only."""

    list_display = ("at", "rule", "who", "changes")
    list_filter = ("rule",)
    fields = ("at", "rule", "who", "changes")

    @admin.display(description="changes")
    def changes(self, change: RuleChange) -> SafeString | str:
        """Return each changed field with its value before and after."""
        before, after = change.before or {}, change.after or {}
        if change.after is None:
            return "deleted"
        lines = [
            (name, plain_words(before.get(name)), plain_words(after.get(name)))
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
        ]
        text = format_html_join("", "{}: {} → {}<br>", lines)
        return format_html("{}{}", "" if change.before else "created; ", text)
