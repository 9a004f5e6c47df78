"""manage.py connect: point an agent or an SDK to this gateway, and try it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from analytics.access.audit import audit_added
from analytics.access.keys import key_make
from analytics.management.teaching import TeachingCommand
from analytics.models import ApiKey
from optimizer.presentation.connections.agents import NAMES, Connection, connection
from optimizer.presentation.connections.config_files import CannotMerge, file_write
from optimizer.presentation.mistakes import validation_message

_PLACEHOLDER, _ANY = "YOUR_KEY", "any"
_SECONDS = 60.0
_HEARD_SECONDS, _AGAIN_SECONDS = 5.0, 0.25


class Command(TeachingCommand):
    """Connect an agent."""

    help = (
        "Show the few lines that point an agent or an SDK to this gateway, or write them. Then "
        "send one request through the running service, and show its cost.\n"
        "  manage.py connect claude-code                       show the lines\n"
        "  manage.py connect codex --make-key ann --write      make a key, write the settings\n"
        "  manage.py connect opencode --key aco-… --url https://ai.example.com\n"
        "docs/agents.md says what each agent needs, and what is lost on which provider."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument("agent", choices=NAMES, help="what to connect")
        parser.add_argument(
            "--url", help=f"address of the gateway (http://127.0.0.1:{settings.PORT})"
        )
        parser.add_argument("--model", default="auto", help="model to ask for (%(default)s)")
        keys = parser.add_mutually_exclusive_group()
        keys.add_argument("--key", help="API key of the gateway")
        keys.add_argument("--make-key", metavar="NAME", help="make a key with this name")
        parser.add_argument(
            "--write", action="store_true",
            help="write the settings into the agent's files, with a copy of what they were",
        )  # fmt: skip
        parser.add_argument(
            "--home", type=Path, default=Path.home(), help="folder of the settings (%(default)s)"
        )
        parser.add_argument("--no-test", action="store_true", help="send no request")

    def handle(self, *args: Any, **options: Any) -> None:
        """Show or write the settings, then send one request."""
        base = (options["url"] or f"http://127.0.0.1:{settings.PORT}").rstrip("/")
        key = self._key(options)
        chosen = connection(options["agent"], base, key, options["model"])
        if options["write"]:
            self._write(chosen, options["home"], key)
        else:
            self.stdout.write(chosen.lines())
        if not options["no_test"] and key != _PLACEHOLDER:
            self._test(chosen, base, key, patience=_HEARD_SECONDS if options["make_key"] else 0.0)

    def _key(self, options: dict[str, Any]) -> str:
        """Return the key to write, made if wanted, or what stands in its place."""
        if options["key"]:
            return str(options["key"])
        if options["make_key"]:
            try:
                created = key_make(ApiKey(name=options["make_key"], user=options["make_key"]))
            except ValidationError as error:
                raise CommandError(validation_message(error)) from None
            audit_added(created.key, "made by connect")
            self.stderr.write("A key was made. It is shown only here:")
            self.stderr.write(created.secret)
            return created.secret
        needed = settings.AUTH == "on" or (settings.AUTH == "auto" and ApiKey.objects.exists())
        if needed:
            self.stderr.write(
                f"The gateway asks for a key: replace {_PLACEHOLDER}, or give --key or --make-key."
            )
        return _PLACEHOLDER if needed else _ANY

    def _write(self, chosen: Connection, home: Path, key: str) -> None:
        if not chosen.files:
            raise CommandError(
                f"{chosen.title} keeps its settings in no file that could be written. Do this:\n"
                f"{chosen.lines()}"
            )
        if key == _PLACEHOLDER:
            raise CommandError("Nothing is written without a key: give --key or --make-key.")
        for file in chosen.files:
            try:
                path, backup = file_write(file, home)
            except CannotMerge as error:
                raise CommandError(
                    f"{home / file.path} was left as it is: {error}. Add this by hand:\n"
                    f"{file.merged('')}"
                ) from None
            except OSError as error:
                raise CommandError(f"{home / file.path} cannot be written: {error}") from None
            kept = f" What it was is in {backup.name}." if backup else ""
            self.stdout.write(f"Wrote {path}.{kept}")
        if chosen.start:
            self.stdout.write(f"Begin with: {chosen.start}")

    def _test(self, chosen: Connection, base: str, key: str, patience: float) -> None:
        """Send one request as the agent does. Raises ``CommandError`` if it is not answered.

        For ``patience`` seconds the service may not know a new key yet.
        """
        test = chosen.test
        headers = {**test.headers, "authorization": f"Bearer {key}"}
        if chosen.name == "gemini-cli":
            headers["x-goog-api-key"] = key
        until = time.monotonic() + patience
        try:
            while True:
                reply = httpx.post(
                    f"{base}{test.path}", json=dict(test.body), headers=headers, timeout=_SECONDS
                )
                if reply.status_code != httpx.codes.UNAUTHORIZED or time.monotonic() >= until:
                    break
                time.sleep(_AGAIN_SECONDS)
        except httpx.HTTPError as error:
            raise CommandError(
                f"No request could be sent to {base} ({type(error).__name__}). Is it running? "
                "Start it with manage.py serve, or give --url or --no-test."
            ) from None
        if reply.status_code != httpx.codes.OK:
            raise CommandError(f"{base} answered {reply.status_code}: {_message_of(reply)}")
        answer = reply.headers
        model = f"{answer.get('x-optimizer-provider', '?')}/{answer.get('x-optimizer-model', '?')}"
        cost = answer.get("x-optimizer-cost", "unknown")
        cost = "an unknown amount" if cost == "unknown" else f"${cost}"
        self.stdout.write(f"One request as {chosen.title} sends it: {model} answered, for {cost}.")


def _message_of(reply: httpx.Response) -> str:
    try:
        body = reply.json()
    except ValueError:
        return reply.text[:300]
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return str(message or body)[:300]
