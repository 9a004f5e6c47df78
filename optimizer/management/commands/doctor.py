"""manage.py doctor: show what is wrong with this installation, and how to fix it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError
from rich.console import Console
from rich.table import Table

from analytics.management.teaching import TeachingCommand
from optimizer.doctor import provider_checks, system_checks
from optimizer.doctor.findings import Finding, warning, wrong
from optimizer.pricing.prices import load_operator_prices
from optimizer.wiring.build import build_services
from optimizer.wiring.installation.folders import journal
from optimizer.wiring.installation.upstream import installed_catalogue, local_enabled
from optimizer.wiring.operation.catalogue_models import with_model_entries
from optimizer.wiring.operation.providers import environment_with_stored_keys
from optimizer.wiring.routing import refreshed_abilities_file
from providers.abilities import AbilitiesError
from providers.ability_files import load_abilities
from providers.catalogue import CatalogueError
from providers.pricing import PriceBook

_SIGNS = {"ok": "[green]✓[/green]", "warning": "[yellow]![/yellow]", "wrong": "[red]✗[/red]"}


class Command(TeachingCommand):
    """Check the installation and show the findings."""

    help = (
        "Check this installation: settings, disk, database, migrations, Redis, clocks, providers, "
        "prices, models and API keys. Show what is wrong and how to fix it. Changes nothing; the "
        "exit status is 1 if something is wrong.\n"
        "  manage.py doctor\n"
        "  manage.py doctor --call     ask each provider for a few tokens, which costs money\n"
        "  manage.py doctor --json     for programs"
    )
    # The report contains what Django's checks find, so they do not run before it.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument(
            "--call", action="store_true", help="also ask each configured provider for a few tokens"
        )
        parser.add_argument(
            "--json", action="store_true", help="print one JSON object, for programs"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run all checks and show their findings; exit with 1 if something is wrong."""
        findings = list(_findings(call=options["call"]))
        if options["json"]:
            body = {"findings": [finding.as_dict() for finding in findings]}
            self.stdout.write(json.dumps(body, indent=1))
        else:
            self._show(findings)
        if any(finding.level == "wrong" for finding in findings):
            sys.exit(1)

    def _show(self, findings: list[Finding]) -> None:
        console = Console(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        table = Table.grid(padding=(0, 2))
        for finding in findings:
            table.add_row(_SIGNS[finding.level], f"[bold]{finding.about}[/bold]", finding.words)
            if finding.cure:
                table.add_row("", "", f"[dim]{finding.cure}[/dim]")
        console.print(table)
        count = {level: sum(f.level == level for f in findings) for level in _SIGNS}
        console.print(f"\n{count['ok']} ok, {count['warning']} to check, {count['wrong']} wrong.")


def _findings(*, call: bool) -> Iterator[Finding]:
    yield from _safely("settings", system_checks.configuration)
    yield from _safely("disk", lambda: system_checks.disk(journal()))
    reachable = True
    for finding in _safely("database", system_checks.database):
        reachable = reachable and not (finding.about == "database" and finding.level == "wrong")
        yield finding
    yield from _safely("shared cache", system_checks.shared_cache)
    try:
        catalogue = installed_catalogue()
        if reachable:
            catalogue = with_model_entries(catalogue)
    except CatalogueError as error:
        yield wrong("catalogue", str(error), "Fix CATALOGUE_FILE, or unset it.")
        return
    environment = environment_with_stored_keys(catalogue) if reachable else os.environ
    local = local_enabled(catalogue, environment)
    yield from _safely(
        "providers",
        lambda: provider_checks.configured_providers(catalogue, environment, local=local),
    )
    book = PriceBook(catalogue)
    if reachable:
        yield from _safely("API keys", provider_checks.api_keys)
        yield from _safely("prices", lambda: _operator_prices(book))
    yield from _safely("prices", lambda: provider_checks.prices(catalogue, book, environment))
    try:
        abilities = load_abilities(refreshed_abilities_file())
    except AbilitiesError as error:
        yield warning(
            "models",
            f"{error}. Routing uses the shipped abilities.",
            "Run manage.py abilities --refresh, or delete the file.",
        )
        abilities = load_abilities()
    yield from _safely(
        "models", lambda: provider_checks.models(catalogue, book, abilities, environment)
    )
    if call and reachable:
        yield from asyncio.run(_call())


def _operator_prices(book: PriceBook) -> Iterator[Finding]:
    """Take over the prices that were set in the admin, if their table can be read."""
    try:
        book.set_dated(load_operator_prices())
    except DatabaseError as error:
        yield wrong(
            "prices",
            f"Prices set in the admin cannot be read ({type(error).__name__}).",
            "Run manage.py migrate.",
        )


async def _call() -> list[Finding]:
    services = await asyncio.to_thread(build_services)
    await asyncio.to_thread(services.ledger.health.look)
    # On the thread whose connection ends with the services.
    await services.in_background(services.operation.refresh)
    try:
        return await provider_checks.check_connections(services.connections)
    finally:
        await services.stop()


def _safely(about: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield the findings of ``check``, or one finding if the check itself fails.

    A failing check must not hide the findings of the others.
    """
    try:
        yield from check()
    except Exception as error:  # noqa: BLE001 - reported as a finding
        yield wrong(about, f"The check failed ({type(error).__name__}).", "")
