"""The admin's rules: written, tried on past requests, switched on; and who changed what."""

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
from analytics.models import RoutingRule, RuleChange
from analytics.rules import rule_delete, rule_fields, rule_save
from optimizer.wiring.build import get_services
from routing.models import TIERS
from routing.patterns import PATTERNS
from routing.rule_reading import WEEKDAYS, RuleError, read_rule

_TRIED = 1000


class RuleForm(forms.ModelForm):
    """Says at the field what is wrong with a rule."""

    patterns = ChoicesField(PATTERNS)
    tiers = ChoicesField(TIERS, help_text="Of the prompt, by complexity.")
    weekdays = ChoicesField(WEEKDAYS)
    tags = LinesField(help_text="One a line; a request with any of them matches.")
    users = LinesField(help_text="One a line, with * and ?.")
    texts = LinesField(help_text="One a line; sought in the prompt, whatever the case.")
    model_names = LinesField(
        label="Models", help_text="One a line: provider/model or model, with * and ?."
    )

    class Meta:
        model = RoutingRule
        fields = (
            "name", "position", "enabled", "note", "patterns", "tiers", "tags", "users", "texts",
            "min_tokens", "max_tokens", "weekdays", "since", "until", "zone", "action",
            "model_names", "quality_target", "cost_cap",
        )  # fmt: skip

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            read_rule(rule_fields(self.instance))
        except RuleError as error:
            place = "model_names" if error.field == "models" else error.field
            self.add_error(place, ValidationError(error.message))


@admin.register(RoutingRule)
class RoutingRuleAdmin(admin.ModelAdmin):
    form = RuleForm
    list_display = ("position", "name", "enabled", "action", "models_named", "note")
    list_display_links = ("name",)
    list_filter = ("enabled", "action")
    search_fields = ("name", "note")
    actions = ("try_selected",)
    fieldsets = (
        (None, {"fields": ("name", "position", "enabled", "note")}),
        (
            "For which requests (all that is given must hold)",
            {
                "fields": (
                    "patterns", "tiers", "tags", "users", "texts", ("min_tokens", "max_tokens"),
                    "weekdays", ("since", "until", "zone"),
                )
            },
        ),
        ("What it does", {"fields": ("action", "model_names", "quality_target", "cost_cap")}),
    )  # fmt: skip

    @admin.display(description="models")
    def models_named(self, rule: RoutingRule) -> str:
        return ", ".join(rule.model_names) or "–"

    def save_model(self, request: HttpRequest, obj: RoutingRule, form: Any, change: bool) -> None:
        rule_save(obj, who=request.user.get_username())

    def delete_model(self, request: HttpRequest, obj: RoutingRule) -> None:
        rule_delete(obj, who=request.user.get_username())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[RoutingRule]) -> None:
        for rule in queryset:
            rule_delete(rule, who=request.user.get_username())

    @admin.action(description="Try on past requests, with the rules in force", permissions=["view"])
    def try_selected(self, request: HttpRequest, queryset: QuerySet[RoutingRule]) -> HttpResponse:
        services = get_services()
        services.rules.refresh()
        rules = services.rules.together_with([rule.name for rule in queryset])
        trial = services.rule_trials.of_last(_TRIED, rules)
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
    list_display = ("at", "rule", "who", "what")
    list_filter = ("rule",)
    fields = ("at", "rule", "who", "what")

    @admin.display(description="what changed")
    def what(self, change: RuleChange) -> SafeString | str:
        before, after = change.before or {}, change.after or {}
        if change.after is None:
            return "deleted"
        lines = [
            (name, before.get(name, "–"), after.get(name, "–"))
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
        ]
        text = format_html_join("", "{}: {} → {}<br>", lines)
        return format_html("{}{}", "" if change.before else "written; ", text)
