"""manage.py serve: run the service on uvicorn."""

from __future__ import annotations

import resource
from contextlib import nullcontext
from typing import Any

import uvicorn
from django.conf import settings
from django.core.checks import Tags
from django.core.management import call_command
from django.core.management.base import CommandParser
from django.db import DatabaseError

from analytics.access.keys import keys_version
from analytics.management.teaching import TeachingCommand
from optimizer import __version__
from optimizer.monitoring.shared_metrics import metrics_shared
from optimizer.wiring.installation.upstream import (
    check_proxies,
    installed_catalogue,
    local_enabled,
)
from optimizer.wiring.operation.providers import environment_with_stored_keys
from providers.registry import configured_names

_MOST_FILES = 65_536


def _is_local(host: str) -> bool:
    return host.startswith("127.") or host in {"localhost", "::1"}


def _has_keys() -> bool:
    """Return whether there are API keys; before the first migration there are none."""
    try:
        return bool(keys_version()[1])
    except DatabaseError:
        return False


def _allow_connections() -> None:
    """Raise the limit of open files to what the system allows this process, for its workers too.

    The usual 1024 are fewer than the connections of MAX_CONCURRENT_REQUESTS clients and calls.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class Command(TeachingCommand):
    """Serve the API and the admin."""

    help = (
        "Serve the API and the admin. HOST, PORT and WORKERS are read from the environment; "
        "the options below override them."
    )

    # What an operator can set wrong. The others look for mistakes in the code, and would load the
    # admin with all that it shows into each server; tests run them.
    requires_system_checks = (Tags.security, Tags.caches, Tags.compatibility, Tags.files)

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options of the command."""
        parser.add_argument("--host", default=settings.HOST, help="address to bind (%(default)s)")
        parser.add_argument("--port", type=int, default=settings.PORT, help="port (%(default)s)")
        parser.add_argument(
            "--workers",
            type=int,
            default=settings.WORKERS,
            help="number of processes (%(default)s)",
        )
        parser.add_argument(
            "--prepare",
            action="store_true",
            help="first migrate, and create an administrator if there is none",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare the database if asked to, print the addresses, and serve."""
        check_proxies()  # said in one line here, and not by each worker that cannot start
        host, port = options["host"], options["port"]
        if options["prepare"]:
            call_command("migrate", verbosity=0, interactive=False)
            call_command("ensure_admin", stdout=self.stdout)
        _allow_connections()
        host = self._safe_host(host)
        self._print_summary(host, port)
        workers = options["workers"]
        with metrics_shared() if workers > 1 else nullcontext():
            uvicorn.run(
                "optimizer.asgi:application",
                host=host,
                port=port,
                workers=workers,
                access_log=False,
                log_config=None,
                http="optimizer.server.departures:WatchedConnection",
                proxy_headers=False,  # TRUST_PROXY_HEADERS decides which ones are trusted
                lifespan="on",
                ws="none",  # no endpoint speaks it
                timeout_graceful_shutdown=30,
            )

    def _safe_host(self, host: str) -> str:
        """Return the address to bind: loopback as long as anyone could ask without a key."""
        if settings.AUTH == "off" or _is_local(host) or _has_keys():
            return host
        self.stderr.write(
            f"There is no API key yet, so only this machine is served, not {host}. Create a key "
            "with manage.py create_key NAME and start again, or set AUTH=off."
        )
        return "127.0.0.1"

    def _print_summary(self, host: str, port: int) -> None:
        """Print the version, the providers and the addresses, and which settings are missing.

        This process is the worker, or the parent of all: a library for output would stay in it.
        """
        write, bold, yellow = self.stdout.write, self.style.MIGRATE_LABEL, self.style.WARNING
        catalogue = installed_catalogue()
        environment = environment_with_stored_keys(catalogue)
        configured = configured_names(catalogue, environment)
        shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - only compared
        base = f"http://{shown}:{port}"
        write(f"{bold(f'AI Cost Optimizer {__version__}')} on {base}")
        if configured:
            write(f"  Providers  {', '.join(configured)}")
        elif local_enabled(catalogue, environment):
            write(
                "  Provider   local, the embedded SmolLM2-135M: it works, but its answers are poor."
            )
            write(
                "             For better answers set GEMINI_API_KEY, ANTHROPIC_API_KEY, "
                "OPENROUTER_API_KEY\n             or OPENAI_API_KEY in .env and start again, or "
                "add a key in the admin."
            )
        else:
            write(
                f"  {yellow('No provider is configured.')} Set GEMINI_API_KEY, "
                "ANTHROPIC_API_KEY, OPENROUTER_API_KEY\n  or OPENAI_API_KEY, or LOCAL_PROVIDER=on, "
                "or add a key in the admin."
            )
        key_required = settings.AUTH != "off" and (settings.AUTH == "on" or _has_keys())
        if key_required:
            write("  Keys       every request needs one: manage.py keys")
        elif not _is_local(host):
            write(f"  {yellow('Reachable from the network, and the API requires no key.')}")
        write(f"  Admin      {base}/admin/")
        write(f"  API        {base}/docs")
        key = "your api_key" if key_required else "any api_key"
        write(f"  OpenAI     base_url {base}/v1, model auto, {key}")
        write(f"  Anthropic  base_url {base}, model auto, {key}")
        write(f"  Gemini     base_url {base}, model auto, {key}")
        write(
            f"  Try        curl -s {base}/complete -H 'content-type: application/json' "
            '-d \'{"prompt": "What is the capital of France?"}\''
        )
