"""manage.py reencrypt: store prompts and answers with the first of ENCRYPTION_KEY's keys."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress, TextColumn

from analytics.management.teaching import TeachingCommand
from analytics.privacy.reencryption import reencrypt


class Command(TeachingCommand):
    help = (
        "Encrypt the prompts and answers that were stored without a key or with an older one, with "
        "the first key of ENCRYPTION_KEY. Short transactions: the service may go on, and a run "
        "that is cut off may be repeated.\n"
        "  manage.py reencrypt --new-key    print a new key and do nothing else\n"
        "  manage.py reencrypt\n"
        "To replace a key set ENCRYPTION_KEY=new,old, restart, run this, then drop the old one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--new-key", action="store_true", help="print one")
        parser.add_argument("--batch-size", type=int, default=500, help="rows (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["new_key"]:
            try:
                from cryptography.fernet import Fernet
            except ImportError:
                raise CommandError("pip install -r requirements/security.txt") from None
            self.stdout.write(Fernet.generate_key().decode())
            return
        if not settings.ENCRYPTION_KEYS:
            raise CommandError("ENCRYPTION_KEY is not set.")
        if options["batch_size"] < 1:
            raise CommandError("--batch-size must be at least 1")
        looked = changed = 0
        console = Console(file=self.stderr, highlight=False)  # type: ignore[arg-type]
        with Progress(TextColumn("{task.description}"), console=console) as progress:
            task = progress.add_task("Reading …", total=None)
            for seen, stored in reencrypt(options["batch_size"]):
                looked, changed = looked + seen, changed + stored
                progress.update(task, description=f"{looked} rows, {changed} encrypted anew")
        self.stdout.write(f"{changed} of {looked} rows were encrypted anew.")
