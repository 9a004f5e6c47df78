"""manage.py rules: list the rules, and try rules on past requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from analytics.exports.terminal import TerminalConsole
from analytics.management.teaching import TeachingCommand
from analytics.money import dollars
from optimizer.lab.rule_preview import RulePreview
from optimizer.policies.rules import ActiveRules, RulesFileError, read_rules_file
from optimizer.wiring.build import get_services
from routing.durations import duration_text
from routing.rules import Rule


class Command(TeachingCommand):
    """List the rules in force, or try rules on past requests."""

    help = (
        "List the rules in force, in their order, or try rules on past requests:\n"
        "  manage.py rules\n"
        "  manage.py rules --try --last 5000              the rules in force\n"
        "  manage.py rules --try --file new-rules.toml    the rules of this file instead\n"
        "  manage.py rules --try --with night-shift       also a rule that is still switched off\n"
        "A trial calls no provider and changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument(
            "--try", action="store_true", dest="try_", help="try the rules on past requests"
        )
        parser.add_argument(
            "--last", type=int, default=1000, help="number of past requests (%(default)s)"
        )
        parser.add_argument("--file", type=Path, help="use the rules of this TOML file only")
        parser.add_argument(
            "--with", action="append", default=[], dest="with_", metavar="NAME",
            help="also try this rule of the admin, as if it were switched on",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """List the rules, or print what they would have done to past requests."""
        console = TerminalConsole(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        if options["last"] < 1:
            raise CommandError("--last must be at least 1.")
        services = get_services()
        services.rules.refresh()
        try:
            rules = self._rules(options, services.rules)
        except RulesFileError as error:
            raise CommandError(str(error)) from None
        if not options["try_"]:
            self._list(console, rules)
            return
        # What the service knows: outcomes, lengths and speeds.
        services.refreshes.run_due()
        services.evidence.refresh()
        show_trial(console, services.rule_previews.of_last(options["last"], rules), rules)

    def _rules(self, options: dict[str, Any], active: ActiveRules) -> list[Rule]:
        if options["file"]:
            return read_rules_file(options["file"])
        rules = active.together_with(options["with_"])
        for name in options["with_"]:
            if name not in {rule.name for rule in rules}:
                raise CommandError(f"There is no rule {name!r} that could be tried.")
        return list(rules)

    def _list(self, console: Console, rules: list[Rule]) -> None:
        if not rules:
            console.print("No rules are in force. Create some in the admin, or set RULES_FILE.")
            return
        table = Table("", "rule", "applies to", "action")
        for number, rule in enumerate(rules, 1):
            table.add_row(str(number), rule.name, describe_match(rule), describe_action(rule))
        console.print(table)


def describe_match(rule: Rule) -> str:
    """Return in words which requests a rule applies to."""
    match = rule.match
    conditions = [
        f"{name} {', '.join(sorted(values))}"
        for name in (
            "patterns",
            "tiers",
            "turns",
            "tags",
            "users",
            "agents",
            "texts",
            "requested_models",
        )
        if (values := getattr(match, name))
    ]
    if match.only_text:
        conditions.append("text alone")
    if match.min_tokens is not None or match.max_tokens is not None:
        conditions.append(f"{match.min_tokens or 0} to {match.max_tokens or 'any'} tokens")
    if match.weekdays or match.since or match.until:
        conditions.append(f"certain times ({match.zone})")
    return "; ".join(conditions) or "every request"


def describe_action(rule: Rule) -> str:
    """Return in words what a rule does."""
    actions = [f"{rule.action} {', '.join(rule.models)}".rstrip()] if rule.action else []
    if rule.quality_target is not None:
        actions.append(f"quality target {rule.quality_target:g}")
    if rule.cost_cap is not None:
        actions.append(f"at most {dollars(rule.cost_cap)}")
    if rule.latency_cap is not None:
        actions.append(f"at most {rule.latency_cap:g} s")
    if rule.deadline is not None:
        actions.append(f"deadline {duration_text(rule.deadline)}")
    if rule.residency:
        actions.append(f"data stays in {' and '.join(sorted(rule.residency))}")
    if rule.answer_note:
        actions.append(f"note “{rule.answer_note}”")
    return "; ".join(actions)


def show_trial(console: Console, trial: RulePreview, rules: list[Rule]) -> None:
    """Print what ``rules`` would have changed: models, cost (USD) and refusals."""
    console.print(
        f"{trial.requests} past requests: rules apply to {trial.touched}, "
        f"{trial.changed} would be answered by another model."
    )
    if not trial.requests:
        return
    table = Table("rule", "applies to")
    for rule in rules:
        table.add_row(rule.name, str(trial.matched[rule.name]))
    console.print(table)
    mix = Table("model", "without", "with")
    for ref in sorted({*trial.before, *trial.after}):
        mix.add_row(ref, str(trial.before[ref]), str(trial.after[ref]))
    console.print(mix)
    change = trial.cost_after - trial.cost_before
    console.print(
        f"Cost on the same tokens: {dollars(trial.cost_before)} without, "
        f"{dollars(trial.cost_after)} with ({'+' if change >= 0 else '-'}{dollars(abs(change))})."
    )
    if trial.unchecked:
        console.print(
            f"{trial.unchecked} were tried without their latency cap: the speed of no model is "
            "known.",
            style="yellow",
        )
    if trial.unpriced:
        console.print(f"{trial.unpriced} could not be priced and are left out of the cost.")
    for reason, count in trial.unservable.most_common():
        console.print(f"{count} would be refused: {reason}", style="yellow")
