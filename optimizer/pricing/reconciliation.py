"""Reads providers' statements, by API or from a file, and stores them beside the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from analytics.models import ProviderStatementLine
from analytics.reconciliation.stored_lines import lines_replace
from providers.statements import anthropic, openai, openrouter
from providers.statements.api_pages import ReportClient
from providers.statements.files import read_file
from providers.statements.lines import StatedLine, StatementError

_PLACES = Decimal("1e-10")
API = "api"


@dataclass(frozen=True, slots=True)
class StatementApi:
    """A provider's report: where it is, the variable that has its key, and how it is read."""

    base_url: str
    key_variable: str
    key_hint: str
    headers: Callable[[str], Mapping[str, str]]
    read: Callable[[ReportClient, date, date], Iterator[StatedLine]]


STATEMENT_APIS: dict[str, StatementApi] = {
    "openai": StatementApi(
        openai.BASE_URL, "OPENAI_ADMIN_KEY", openai.KEY_HINT, openai.headers_for,
        openai.read_report,
    ),
    "claude": StatementApi(
        anthropic.BASE_URL, "ANTHROPIC_ADMIN_KEY", anthropic.KEY_HINT, anthropic.headers_for,
        anthropic.read_report,
    ),
    "openrouter": StatementApi(
        openrouter.BASE_URL, "OPENROUTER_ADMIN_KEY", openrouter.KEY_HINT, openrouter.headers_for,
        openrouter.read_report,
    ),
}  # fmt: skip


def read_api(
    provider: str,
    since: date,
    until: date,
    environment: Mapping[str, str],
    *,
    base_url: str = "",
    progress: Callable[[StatedLine], object] = lambda line: None,
) -> int:
    """Read a provider's report of the days, and store it; return the number of lines.

    The key is read from ``environment`` and kept nowhere. Raises :class:`StatementError`.
    """
    api = STATEMENT_APIS.get(provider)
    if api is None:
        raise StatementError(f"{provider} has no such API: read a file with --file.")
    key = environment.get(api.key_variable, "")
    if not key:
        raise StatementError(f"{api.key_variable} is not set. {api.key_hint}")
    client = ReportClient(base_url or api.base_url, api.headers(key), key_hint=api.key_hint)
    lines = []
    try:
        for line in api.read(client, since, until):
            progress(line)
            if since <= line.day < until:
                lines.append(line)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise StatementError(
            f"The report of {provider} has another shape: {type(error).__name__}."
        ) from None
    finally:
        client.close()
    return lines_replace(_rows(lines, provider, API, "UTC"), provider, API, since, until)


def read_statement(
    text: str,
    name: str,
    provider: str,
    columns: Mapping[str, str] | None,
    time_zone: str,
    decimal: str = "",
) -> tuple[int, date, date]:
    """Store the lines of a file; return their number, the first day and the day after the last.

    ``decimal`` begins the decimals of a CSV file. Raises :class:`StatementError`.
    """
    lines = read_file(text, provider, columns, ZoneInfo(time_zone), decimal)
    if not lines:
        raise StatementError("The file has no lines of this provider.")
    since, until = min(line.day for line in lines), max(line.day for line in lines)
    until += timedelta(days=1)
    rows = _rows(lines, provider, name, time_zone)
    return lines_replace(rows, provider, name, since, until), since, until


def _rows(
    lines: Iterable[StatedLine], provider: str, source: str, time_zone: str
) -> list[ProviderStatementLine]:
    lines = list(lines)
    # A report that states some amounts to ten places rounds none of them to two.
    places = max((_places(line.amount) for line in lines if line.amount is not None), default=10)
    return [
        ProviderStatementLine(
            provider=provider, source=source[:100], day=line.day, time_zone=time_zone,
            model=line.model[:200], key=line.key[:128], item=line.item[:200],
            amount=None if line.amount is None else line.amount.quantize(_PLACES), places=places,
            requests=line.requests, tokens_in=line.tokens_in, tokens_out=line.tokens_out,
        )
        for line in lines
    ]  # fmt: skip


def _places(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    return min(max(-exponent, 0), 10) if isinstance(exponent, int) else 10
