"""The Helm chart: what it renders, and that its values are checked.

Where Helm is installed, it lints and renders the chart, too. Elsewhere the templates are rendered
by :mod:`tests.fakes.helm`, which knows no more of Go's templates than they need.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from django.conf import settings
from django.urls import resolve

from optimizer import __version__
from tests.fakes.helm import Chart, ChartError

DEPLOY = Path(settings.BASE_DIR) / "deploy"
CHART = DEPLOY / "helm"
KNOWN = set(
    re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (DEPLOY.parent / ".env.example").read_text(), re.M)
)
DIGEST = "sha256:" + "ab" * 32
USUAL: dict[str, Any] = {
    "existingSecrets": ["optimizer"],
    "database": {"existingSecret": "postgres", "key": "URI"},
    "cache": {"url": "redis://redis:6379/0"},
}
ALL: dict[str, Any] = {
    **USUAL,
    "image": {"repository": "registry.example.com/optimizer", "digest": DIGEST},
    "imagePullSecrets": [{"name": "registry"}],
    "ingress": {"enabled": True, "className": "nginx", "host": "llm.example.com",
                "tlsSecret": "tls"},
    "autoscaling": {"enabled": True},
    "serviceMonitor": {"enabled": True, "keySecret": "scraper"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
}  # fmt: skip


def pod_of(document: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = document["spec"]["template"]["spec"]
    return pod


def containers(documents: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    pods = [pod_of(documents[kind]) for kind in ("Deployment", "Job") if kind in documents]
    return [one for pod in pods for one in (*pod.get("initContainers", ()), *pod["containers"])]


def without_security(container: dict[str, Any]) -> dict[str, Any]:
    left_out = ("env", "envFrom", "image", "imagePullPolicy", "securityContext", "volumeMounts")
    return {name: value for name, value in container.items() if name not in left_out}


def test_the_chart_is_that_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


def test_the_pods_are_those_of_the_manifests() -> None:
    plain = next(
        document
        for document in yaml.safe_load_all((DEPLOY / "kubernetes/deployment.yaml").read_text())
        if document["kind"] == "Deployment"
    )
    chart = Chart(CHART).documents(**USUAL)["Deployment"]
    assert chart["spec"]["replicas"] == plain["spec"]["replicas"]
    assert chart["spec"]["strategy"] == plain["spec"]["strategy"]
    ours, theirs = pod_of(chart), pod_of(plain)
    assert ours["volumes"] == theirs["volumes"]
    assert ours["terminationGracePeriodSeconds"] == theirs["terminationGracePeriodSeconds"]
    assert ours["securityContext"].items() >= theirs["securityContext"].items()
    for kind in ("initContainers", "containers"):
        assert list(map(without_security, ours[kind])) == list(map(without_security, theirs[kind]))


@pytest.mark.parametrize("values", [USUAL, ALL], ids=["usual", "all"])
def test_what_is_rendered_fits_together(values: dict[str, Any]) -> None:
    documents = Chart(CHART).documents(**values)
    labels = documents["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        documents["Deployment"]["spec"]["selector"]["matchLabels"],
        documents["Service"]["spec"]["selector"],
        documents["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    assert set(documents["ConfigMap"]["data"]) <= KNOWN
    assert all(isinstance(value, str) for value in documents["ConfigMap"]["data"].values())
    for container in containers(documents):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/srv/data", "/tmp"}
        sources = [source for of in container["envFrom"] for source in of.values()]
        assert [source["name"] for source in sources] == ["live-ai-cost-optimizer", "optimizer"]
        addresses = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in container["env"]}
        assert addresses == {
            "DATABASE_URL": {"name": "postgres", "key": "URI"},
            "CACHE_URL": {"name": "live-ai-cost-optimizer", "key": "CACHE_URL"},
        }
    assert documents["Secret"]["stringData"] == {"CACHE_URL": "redis://redis:6379/0"}
    for probed in re.findall(r"'path': '(/[a-z]+)'", str(documents["Deployment"])):
        assert resolve(probed)


def test_options_are_off_unless_they_are_switched_on() -> None:
    usual = {"ConfigMap", "Secret", "Job", "Deployment", "Service", "PodDisruptionBudget"}
    assert set(Chart(CHART).documents(**USUAL)) == usual
    documents = Chart(CHART).documents(**ALL)
    assert set(documents) == usual | {"Ingress", "HorizontalPodAutoscaler", "ServiceMonitor"}
    for container in containers(documents):
        assert container["image"] == f"registry.example.com/optimizer@{DIGEST}"
    assert "replicas" not in documents["Deployment"]["spec"]
    scaled = documents["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"]
    assert scaled == documents["Deployment"]["metadata"]["name"]
    ingress = documents["Ingress"]["spec"]
    assert ingress["tls"] == [{"hosts": ["llm.example.com"], "secretName": "tls"}]
    assert ingress["ingressClassName"] == "nginx"
    (endpoint,) = documents["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "scraper", "key": "key"}
    assert resolve(endpoint["path"])
    pod = pod_of(documents["Deployment"])
    assert pod["nodeSelector"] == {"disk": "ssd"}
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    bare = Chart(CHART).documents(
        **USUAL, migrations={"enabled": False}, disruptionBudget={"enabled": False}
    )
    assert not {"Job", "PodDisruptionBudget"} & set(bare)


def test_other_settings_are_other_pods() -> None:
    def checksum(**values: Any) -> str:
        deployment = Chart(CHART).documents(**USUAL, **values)["Deployment"]
        return str(deployment["spec"]["template"]["metadata"]["annotations"]["checksum/settings"])

    assert checksum() == checksum()
    assert checksum() != checksum(settings={"LOG_FORMAT": "text"})


def test_a_release_without_a_database_is_refused() -> None:
    with pytest.raises(ChartError, match=r"database\.existingSecret"):
        Chart(CHART).render(existingSecrets=["optimizer"])


def test_every_value_is_in_the_schema() -> None:
    chart = Chart(CHART)
    for values in ({}, USUAL, ALL):
        jsonschema.validate(chart.values(**values), chart.schema)
    for name, value in chart.values().items():
        known = chart.schema["properties"][name]
        if known.get("additionalProperties") is False:
            assert set(value) == set(known["properties"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"replicas": 0}, {"replica": 2}, {"image": {"digest": "latest"}},
        {"settings": {"LOG_FORMAT": True}}, {"settings": {"log-format": "json"}},
        {"database": {"url": "mysql://x"}}, {"cache": {"url": "localhost"}},
        {"existingSecrets": [""]}, {"service": {"port": 0}}, {"ingress": {"hosts": ["a"]}},
        {"autoscaling": {"cpuPercent": 101}}, {"serviceMonitor": {"interval": "soon"}},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_wrong_values_are_refused(wrong: dict[str, Any]) -> None:
    chart = Chart(CHART)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(chart.values(**wrong), chart.schema)


@pytest.mark.skipif(shutil.which("helm") is None, reason="Helm is not installed")
def test_helm_agrees(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(ALL))
    subprocess.run(["helm", "lint", CHART, "-f", values], check=True)
    command = ["helm", "template", "live", CHART, "-f", values]
    rendered = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    documents = {each["kind"]: each for each in yaml.safe_load_all(rendered) if each}
    assert documents == Chart(CHART).documents(**ALL)
