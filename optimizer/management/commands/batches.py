"""manage.py batches: the batches at providers and the requests that wait for them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Count
from rich.table import Table

from analytics.admin.deferred import batch_saving, with_sums
from analytics.deferred.requests import deferred_end
from analytics.exports.terminal import TerminalConsole
from analytics.management.teaching import TeachingCommand
from analytics.models import DeferredRequest, ProviderBatch
from analytics.money import dollars

State = DeferredRequest.State


class Command(TeachingCommand):
    """List batches, or cancel all requests that wait."""

    help = (
        "List the latest batches at providers, and how many requests wait.\n"
        "  manage.py batches\n"
        "  manage.py batches --last 100\n"
        "  manage.py batches --cancel-all    cancel all requests that have no answer yet"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument("--last", type=int, default=20, help="how many to list (%(default)s)")
        parser.add_argument("--cancel-all", action="store_true", help="cancel what waits")

    def handle(self, *args: Any, **options: Any) -> None:
        """List batches, or cancel."""
        if options["cancel_all"]:
            waiting = DeferredRequest.objects.filter(state__in=DeferredRequest.OPEN)
            words = "An operator cancelled the request."
            count = sum(
                deferred_end(request_id, State.CANCELLED, "cancelled", words, 409)
                for request_id in waiting.values_list("pk", flat=True)
            )
            self.stdout.write(f"Requests cancelled: {count}.")
            return
        states = DeferredRequest.objects.order_by().values("state").annotate(n=Count("id"))
        counts = {row["state"]: row["n"] for row in states}
        console = TerminalConsole(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        console.print(
            "Requests: " + (", ".join(f"{n} {state}" for state, n in counts.items()) or "none")
        )
        if not ProviderBatch.objects.exists():
            console.print("No batch has been sent yet.")
            return
        table = Table()
        for words in ("batch", "state", "model", "created", "answered"):
            table.add_column(words, overflow="fold")
        for money in ("cost", "saved"):
            table.add_column(money, justify="right", no_wrap=True)
        batches = with_sums(ProviderBatch.objects.all()).order_by("-created_at")
        for batch in batches[: max(0, options["last"])]:
            table.add_row(
                batch.object_id or batch.pk.hex,
                batch.state,
                f"{batch.provider}/{batch.model}",
                f"{batch.created_at:%m-%d %H:%M}",
                f"{getattr(batch, 'done', 0)} of {batch.requests_count}",
                dollars(getattr(batch, "cost", None)),
                dollars(batch_saving(batch)),
            )
        console.print(table)
