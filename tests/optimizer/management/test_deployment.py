"""What is in deploy/ fits the service: settings, paths, metrics."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.urls import resolve

from analytics.ledger.ledger import LedgerEntry
from optimizer import __version__
from optimizer.monitoring.prometheus import Meter
from tests.factories import RequestRecordFactory

DEPLOY = Path(settings.BASE_DIR) / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
KNOWN = set(
    re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (DEPLOY.parent / ".env.example").read_text(), re.M)
)


def documents(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text()))


def test_each_panel_of_the_dashboard_shows_what_is_counted() -> None:
    meter = Meter(lambda: {"p": "closed"})
    for fields in ({"ttft_ms": 5.0, "provider_ms": 9.0}, {"cache_hit": True}):
        meter.observe(LedgerEntry(RequestRecordFactory.build(**fields)))
    told = set(re.findall(r"^([a-z_]+)(?:\{| )", meter.exposition().decode(), re.M))
    dashboard = json.loads((DEPLOY / "grafana/dashboard.json").read_text())
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            # What it is told apart by is no metric.
            shown = re.sub(r"by \([^)]*\)|\{[^}]*\}", "", target["expr"])
            names = set(re.findall(r"(?:optimizer|gen_ai)_[a-z_]+", shown))
            assert names, panel["title"]
            assert names <= told, panel["title"]


def test_compose_sets_only_what_the_service_knows() -> None:
    (compose,) = documents(DEPLOY / "docker-compose.yml")
    assert set(compose["services"]) >= {"migrate", "optimizer", "postgres", "redis"}
    assert set(compose["services"]["optimizer"]["environment"]) <= KNOWN
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), source


def test_the_image_has_what_the_service_is_made_of() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    for package in ("analytics", "optimizer", "providers", "routing", "manage.py"):
        assert re.search(rf"^COPY {package} ", text, re.M)
    for file in re.findall(r"requirements(?:/[a-z]+)?\.txt", text):
        assert (DEPLOY.parent / file).exists()


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_name_paths_and_settings_that_there_are(path: Path) -> None:
    for document in documents(path):
        assert document["kind"]
        if document["kind"] == "ConfigMap":
            assert set(document["data"]) <= KNOWN
        if document["kind"] == "Kustomization":
            assert document["images"][0]["newTag"] == __version__
            assert {p.name for p in MANIFESTS} == {*document["resources"], path.name}
        for probed in re.findall(r"'path': '(/[a-z]+)'", str(document)):
            assert resolve(probed)
