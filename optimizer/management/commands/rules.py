"""manage.py rules: what rules there are, and what they would have done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from analytics.management.teaching import TeachingCommand
from analytics.money import dollars
from optimizer.lab.rule_preview import Trial
from optimizer.policies.rules import ActiveRules, RulesFileError, read_rules_file
from optimizer.wiring.build import get_services
from routing.rules import Rule


class Command(TeachingCommand):
    help = (
        "List the rules in force, in their order, or try rules on past requests:\n"
        "  manage.py rules\n"
        "  manage.py rules --try --last 5000              the rules in force\n"
        "  manage.py rules --try --file new-rules.toml    these instead\n"
        "  manage.py rules --try --with night-shift       and a rule that is still switched off\n"
        "Trying calls nobody and changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--try", action="store_true", dest="try_", help="try on past requests")
        parser.add_argument(
            "--last", type=int, default=1000, help="how many past requests (%(default)s)"
        )
        parser.add_argument("--file", type=Path, help="rules of a TOML file instead of all others")
        parser.add_argument(
            "--with", action="append", default=[], dest="with_", metavar="NAME",
            help="a rule of the admin to be tried as if it were switched on",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(file=self.stdout, highlight=False)  # type: ignore[arg-type]
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
        services.evidence.refresh()
        show_trial(console, services.rule_trials.of_last(options["last"], rules), rules)

    def _rules(self, options: dict[str, Any], book: ActiveRules) -> list[Rule]:
        if options["file"]:
            return read_rules_file(options["file"])
        rules = book.together_with(options["with_"])
        for name in options["with_"]:
            if name not in {rule.name for rule in rules}:
                raise CommandError(f"There is no rule {name!r} that could be tried.")
        return list(rules)

    def _list(self, console: Console, rules: list[Rule]) -> None:
        if not rules:
            console.print("No rules are in force. Write some in the admin, or set RULES_FILE.")
            return
        table = Table("", "rule", "for", "does")
        for number, rule in enumerate(rules, 1):
            table.add_row(str(number), rule.name, said_match(rule), said_action(rule))
        console.print(table)


def said_match(rule: Rule) -> str:
    """What a rule is for, in words."""
    match = rule.match
    found = [
        f"{name} {', '.join(sorted(values))}"
        for name in ("patterns", "tiers", "tags", "users", "texts")
        if (values := getattr(match, name))
    ]
    if match.min_tokens is not None or match.max_tokens is not None:
        found.append(f"{match.min_tokens or 0} to {match.max_tokens or 'any'} tokens")
    if match.weekdays or match.since or match.until:
        found.append(f"certain times ({match.zone})")
    return "; ".join(found) or "every request"


def said_action(rule: Rule) -> str:
    """What a rule does, in words."""
    found = [f"{rule.action} {', '.join(rule.models)}"] if rule.action else []
    if rule.quality_target is not None:
        found.append(f"quality target {rule.quality_target:g}")
    if rule.cost_cap is not None:
        found.append(f"at most {dollars(rule.cost_cap)}")
    return "; ".join(found)


def show_trial(console: Console, trial: Trial, rules: list[Rule]) -> None:
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
    if trial.unpriced:
        console.print(f"{trial.unpriced} could not be priced and are left out of the cost.")
    for reason, count in trial.unservable.most_common():
        console.print(f"[yellow]{count} would be refused: {reason}[/yellow]")
