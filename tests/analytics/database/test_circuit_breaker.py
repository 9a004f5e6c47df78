"""A database that hangs is waited for so long, and left alone for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from django.db import OperationalError, connection

from analytics.database import circuit_breaker as waiting
from analytics.database.circuit_breaker import DatabaseCircuit

postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite does not hang")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the time that is told."""
    now = [1000.0]

    class Time:
        @staticmethod
        def monotonic() -> float:
            return now[0]

    def move(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(waiting, "time", Time)
    return move


@pytest.mark.django_db
@pytest.mark.parametrize(("took", "rests"), [(0.0, 1.0), (0.5, 5.0), (30.0, 10.0)])
def test_after_a_failure_it_rests_ten_times_as_long_one_to_ten_seconds(
    clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch, took: float, rests: float
) -> None:
    monkeypatch.setattr(connection, "close", lambda: None)
    use, asked = DatabaseCircuit(), []

    def away() -> None:
        if not asked:
            clock(took)
        asked.append(True)
        raise OperationalError

    assert not use.is_open
    with pytest.raises(OperationalError):
        use.ask(away)
    clock(rests - 0.01)
    assert use.is_open
    clock(0.02)
    assert not use.is_open


@pytest.mark.django_db
def test_that_it_is_away_is_said_once_a_minute_and_again_after_it_was_there(
    clock: Callable[[float], None],
) -> None:
    use = DatabaseCircuit()
    assert [use.should_log(), use.should_log()] == [True, False]
    clock(59)
    assert not use.should_log()
    clock(2)
    assert use.should_log()
    use.ask(lambda: None)
    assert use.should_log()


@pytest.mark.django_db
def test_what_is_wrong_with_one_question_is_no_reason_to_rest() -> None:
    use = DatabaseCircuit()
    with pytest.raises(ValueError, match="wrong"):
        use.ask(lambda: int("wrong"))
    assert not use.is_open


@postgresql
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_was_dropped_is_made_anew_and_nobody_is_told() -> None:
    use, asked = DatabaseCircuit(), []

    def dropped() -> str:
        asked.append(True)
        with connection.cursor() as cursor:
            if len(asked) == 1:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            cursor.execute("SELECT 'here'")
            return str(cursor.fetchone()[0])

    assert use.ask(dropped) == "here"
    assert not use.is_open


@postgresql
@pytest.mark.django_db(transaction=True)
def test_whoever_waits_too_long_is_let_go_by_another_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use = DatabaseCircuit()
    use._patience = 0.2
    begun, failed = threading.Event(), []

    def hangs() -> None:
        with connection.cursor() as cursor:
            begun.set()
            cursor.execute("SELECT pg_sleep(60)")

    def thread() -> None:
        try:
            use.ask(hangs)
        except OperationalError as error:
            failed.append(error)
        finally:
            connection.close()

    monkeypatch.setattr(waiting, "_AT_ONCE", 0.0)
    waiter = threading.Thread(target=thread)
    waiter.start()
    assert begun.wait(10)
    ends = time.monotonic() + 30
    while waiter.is_alive() and time.monotonic() < ends:
        use.abort_stuck_wait()
        waiter.join(0.05)
    assert failed
    assert use.is_open
    assert not use.abort_stuck_wait()
    with connection.cursor() as cursor:  # the server has not seen that nobody waits
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE query LIKE 'SELECT pg_sleep%'"
        )
