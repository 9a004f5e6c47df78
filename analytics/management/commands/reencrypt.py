"""manage.py reencrypt: encrypt stored prompts and answers with the first key."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress, TextColumn

from analytics.management.teaching import TeachingCommand
from analytics.privacy.reencryption import reencrypt


class Command(TeachingCommand):
    """Encrypt stored prompts and answers with the first key of ENCRYPTION_KEY."""

    help = (
        "Encrypt prompts and answers that were stored without a key or with an older one. Uses the "
        "first key of ENCRYPTION_KEY. Works in short transactions, so the service can keep "
        "running; an interrupted run can be repeated.\n"
        "  manage.py reencrypt --new-key    print a new key and do nothing else\n"
        "  manage.py reencrypt\n"
        "To replace a key, set ENCRYPTION_KEY=new,old, restart, run this, then remove the old key."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument("--new-key", action="store_true", help="print a new key")
        parser.add_argument(
            "--batch-size", type=int, default=500, help="rows per batch (%(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a new key, or encrypt the stored rows and show the progress."""
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
        read = changed = 0
        console = Console(file=self.stderr, highlight=False)  # type: ignore[arg-type]
        with Progress(TextColumn("{task.description}"), console=console) as progress:
            task = progress.add_task("Reading …", total=None)
            for batch_read, batch_changed in reencrypt(options["batch_size"]):
                read, changed = read + batch_read, changed + batch_changed
                progress.update(task, description=f"{read} rows, {changed} re-encrypted")
        self.stdout.write(f"{changed} of {read} rows were re-encrypted.")
