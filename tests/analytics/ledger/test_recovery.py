"""A database that is back is used again at once, not after the circuit's rest."""

from __future__ import annotations

import threading

import pytest
from django.db import OperationalError

from analytics.database.circuit_breaker import DatabaseCircuit
from analytics.ledger.recovery import RecoveryProbe
from tests.patience import PATIENCE


def opened() -> DatabaseCircuit:
    circuit = DatabaseCircuit()
    circuit._rests_until = float("inf")
    return circuit


@pytest.mark.django_db
def test_circuits_are_closed_once_a_probe_is_written() -> None:
    circuits, probes = [opened(), opened()], []

    def probe() -> None:
        probes.append(True)
        if len(probes) < 5:
            raise OperationalError("still away")

    recovery = RecoveryProbe(circuits, probe)
    recovery.look()
    assert all(circuit.is_open for circuit in circuits)
    while len(probes) < 5:
        recovery.look()
    assert not any(circuit.is_open for circuit in circuits)


@pytest.mark.django_db
@pytest.mark.parametrize("error", [OperationalError, ValueError])
def test_a_database_that_only_answers_stays_unused(error: type[Exception]) -> None:
    def refuses() -> None:
        raise error("no writes here")

    circuit = opened()
    RecoveryProbe([circuit], refuses).look()
    assert circuit.is_open


def test_nothing_is_asked_of_a_database_that_is_in_use() -> None:
    RecoveryProbe([DatabaseCircuit()], lambda: pytest.fail("it was asked")).look()


@pytest.mark.django_db
def test_it_looks_until_it_is_ended() -> None:
    circuit, tried = opened(), threading.Event()
    recovery = RecoveryProbe([circuit], tried.set, seconds=0.01)
    recovery.begin()
    assert tried.wait(PATIENCE)
    recovery.close()
    recovery._thread.join(PATIENCE)
    assert not recovery._thread.is_alive()
    assert not circuit.is_open
