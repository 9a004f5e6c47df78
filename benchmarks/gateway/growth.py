"""A young ledger and one with years in it: whether requests feel the difference.

Needs PostgreSQL: two databases are made beside the one that is named, filled, compared and
dropped. Rows are what the service itself wrote, again and again, over a year.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from rich.console import Console

from benchmarks.gateway.load import Load, drive, median
from benchmarks.gateway.targets import ours, upstream, versions

_TEMPLATES = 500
_AT_ONCE = (1, 16)
_AT_A_TIME = 500_000
# What differs from row to row; the rest is a template's. ``at`` and ``key`` are a row's own.
_OWN = {
    "id": "key",
    "request_id": "key",
    "created_at": "at",
    "cache_key": "md5(key::text) || md5(key::text)",
}
_TABLES = ("requests", "routing_metrics", "response_cache")


def run(options: argparse.Namespace, console: Console) -> None:
    console.print(f"[bold]Growth[/bold], {versions()}")
    lines = []
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        provider = stack.enter_context(upstream(folder / "up", 0))
        servers = {}
        for rows in options.rows:
            url = stack.enter_context(_database(options.database, f"growth_{rows}"))
            with ours(folder / f"first-{rows}", provider, database=url) as server:
                drive(server, Load(), 8, 4)
            _fill(url, rows, console)
            servers[rows] = stack.enter_context(
                ours(folder / f"data-{rows}", provider, database=url)
            )
        for server in servers.values():
            drive(server, Load(), 8, 2)
        for at_once in _AT_ONCE:
            runs = {rows: [] for rows in servers}
            for _ in range(options.rounds):
                for rows, server in servers.items():
                    runs[rows].append(drive(server, Load(), at_once, options.seconds))
            first = median(runs[options.rows[0]])
            for rows, measured in runs.items():
                found = median(measured)
                lines.append(
                    f"| {at_once} | {rows:,} | {found.rate:,.0f} | {found.rate / first.rate:.2f} |"
                    f" {found.p50:.1f} | {found.p99:.1f} | {found.cpu:.2f} | {found.errors} |"
                )
                console.print(lines[-1])
    if options.out:
        head = "| at a time | rows | requests/s | of the first | p50 ms | p99 | CPU ms | errors |"
        rule = "|" + " --- |" * 8
        (options.out / "gateway-growth.md").write_text("\n".join([head, rule, *lines]) + "\n")


@contextmanager
def _database(beside: str, name: str) -> Iterator[str]:
    """A new one, and its URL."""
    quoted = sql.Identifier(name)
    with psycopg.connect(beside, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(quoted))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(quoted))
        try:
            yield beside.rsplit("/", 1)[0] + f"/{name}"
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(quoted))


def _fill(url: str, rows: int, console: Console) -> None:
    """``rows`` more requests, decisions and answers kept, the indexes made after."""
    begun = time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET session_replication_role = replica")  # keys fit: none is looked up
        connection.execute("SET maintenance_work_mem = '1GB'")
        for table in _TABLES:
            with _without_indexes(connection, table):
                _multiply(connection, table, rows)
            console.print(f"  {rows:,}: {table} filled, {time.monotonic() - begun:,.0f} s")
        # A service that had lived through that year would have summed each hour after its end. No
        # request reads those sums, but to make them goes on in the background for most of an hour.
        connection.execute(
            "INSERT INTO totals_state (id, summed_until, days_until, revision) VALUES"
            " (1, date_trunc('hour', now()) - interval '1 hour', date_trunc('day', now()),"
            " gen_random_uuid()) ON CONFLICT (id) DO UPDATE SET"
            " summed_until = EXCLUDED.summed_until, days_until = EXCLUDED.days_until"
        )
        connection.execute("VACUUM ANALYZE")
        size = connection.execute("SELECT pg_size_pretty(pg_database_size(current_database()))")
        console.print(f"  {rows:,}: {size.fetchone()[0]}, {time.monotonic() - begun:,.0f} s")
        connection.execute("CHECKPOINT")


@contextmanager
def _without_indexes(connection: psycopg.Connection, table: str) -> Iterator[None]:
    """All but the primary key's are made again in the end: far sooner than row by row."""
    named = sql.Identifier(table)
    constraints = connection.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = %s::regclass AND contype = 'u'",
        [table],
    ).fetchall()
    for name, _ in constraints:
        drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(named, sql.Identifier(name))
        connection.execute(drop)
    indexes = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s"
        " AND indexdef NOT LIKE 'CREATE UNIQUE%%'",
        [table],
    ).fetchall()
    for name, _ in indexes:
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    yield
    for _, definition in indexes:
        connection.execute(definition)
    for name, definition in constraints:
        add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}")
        connection.execute(add.format(named, sql.Identifier(name), sql.SQL(definition)))


def _multiply(connection: psycopg.Connection, table: str, rows: int) -> None:
    columns = [
        name
        for (name,) in connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s"
            " AND is_identity = 'NO' ORDER BY ordinal_position",
            [table],
        )
    ]
    values = sql.SQL(", ").join(
        sql.SQL(_OWN[name]) if name in _OWN else sql.SQL("t.{}").format(sql.Identifier(name))
        for name in columns
    )
    name = sql.Identifier(table)
    connection.execute(
        sql.SQL(
            "CREATE TEMP TABLE templates AS SELECT row_number() OVER () - 1 AS number, found.*"
            " FROM (SELECT * FROM {} LIMIT {}) found"
        ).format(name, _TEMPLATES)
    )
    statement = sql.SQL(
        # Time-ordered keys, as the service's own, over the year before today.
        "INSERT INTO {table} ({columns}) SELECT {values} FROM ("
        "  SELECT n, at, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')"
        "  || lpad(to_hex(n), 20, '0'))::uuid AS key FROM ("
        "    SELECT n, now() - interval '1 year' * (1 - n::float8 / {rows}) AS at"
        "    FROM generate_series({first}, {last}) n) moments) own"
        " JOIN templates t ON t.number = own.n % {templates} ORDER BY n"
    )
    named = sql.SQL(", ").join(map(sql.Identifier, columns))
    for first in range(0, rows, _AT_A_TIME):
        connection.execute(
            statement.format(
                table=name, columns=named, values=values, rows=rows, first=first,
                last=min(rows, first + _AT_A_TIME) - 1, templates=_TEMPLATES,
            )
        )  # fmt: skip
    connection.execute("DROP TABLE templates")
