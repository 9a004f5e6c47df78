"""What operators' tools are told: metrics, traces, log lines, readiness."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from prometheus_client.parser import text_string_to_metric_families

from analytics.access.keys import key_make
from analytics.database.circuit_breaker import DatabaseCircuit
from analytics.ledger.journal import Journal
from analytics.ledger.ledger import LedgerEntry
from analytics.ledger.write_health import WriteHealth
from analytics.models import ApiKey, RequestRecord
from optimizer.gateway.recording.accounting import notify
from optimizer.monitoring import health
from optimizer.monitoring import shared_metrics as sharing
from optimizer.monitoring.conventions import DURATIONS
from optimizer.monitoring.logs import AboutRequest, JsonFormatter
from optimizer.monitoring.otlp import Telemetry, configured_telemetry, this_service
from optimizer.monitoring.otlp_metrics import OtlpMetrics
from optimizer.monitoring.prometheus import SHARED_FOLDER
from optimizer.monitoring.request_context import working_on
from optimizer.monitoring.tracing import Tracer
from optimizer.wiring.build import get_services
from tests.fakes.server import FakeProvider, Reply
from tests.patience import eventually

PROMPT = {"prompt": "What is the capital of France?"}
CHAT = {"model": "claude-haiku-5-5", "messages": [{"role": "user", "content": "What is Paris?"}]}


async def samples(client: httpx.AsyncClient) -> dict[tuple[str, frozenset[Any]], float]:
    """By name and labels."""
    response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def total(found: dict[tuple[str, frozenset[Any]], float], name: str, **labels: str) -> float:
    wanted = set(labels.items())
    return sum(value for (n, having), value in found.items() if n == name and wanted <= having)


class TestMetrics:
    async def test_what_is_recorded_is_counted(self, client: httpx.AsyncClient) -> None:
        await client.post("/complete", json=PROMPT)
        await client.post("/complete", json=PROMPT)
        await client.post("/v1/chat/completions", json={**CHAT, "stream": True})
        found = await samples(client)
        assert total(found, "optimizer_requests_total", status="ok") == 3
        assert total(found, "optimizer_requests_total", cache_hit="true") == 1
        assert total(found, "optimizer_request_duration_seconds_count") == 3
        assert total(found, "optimizer_overhead_seconds_count") == 3
        # A hit calls nobody.
        call = "gen_ai_client_operation_duration_seconds_count"
        assert total(found, call, gen_ai_operation_name="chat") == 2
        records = [r async for r in RequestRecord.objects.filter(cache_hit=False)]
        tokens = "gen_ai_client_token_usage_sum"
        read = total(found, tokens, gen_ai_token_type="input")
        written = total(found, tokens, gen_ai_token_type="output")
        assert read == sum(record.tokens_in for record in records)
        assert written == sum(record.tokens_out for record in records)
        cost = total(found, "optimizer_cost_usd_total")
        assert cost == pytest.approx(float(sum(record.cost or 0 for record in records)))
        first = "gen_ai_server_time_to_first_token_seconds_count"
        assert total(found, first, gen_ai_provider_name="claude") == 1

    async def test_failures_and_circuits_are_seen(
        self, client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
    ) -> None:
        for fake in fakes.values():
            fake.always(Reply(status=401, body={"error": {"message": "no"}}))
        assert (await client.post("/complete", json=PROMPT)).status_code == 503
        found = await samples(client)
        assert total(found, "optimizer_requests_total", status="error") == 1
        assert total(found, "optimizer_circuit_open", provider="claude") == 0
        assert total(found, "optimizer_build_info") == 1

    async def test_what_is_under_way_is_counted(self, client: httpx.AsyncClient) -> None:
        async def counted() -> bool:
            return total(await samples(client), "optimizer_tasks") > 0

        await eventually(counted)

    async def test_they_are_for_keys_that_may_read(self, client: httpx.AsyncClient) -> None:
        secrets = {}
        for scope in ("read", "complete"):
            made = await sync_to_async(key_make)(ApiKey(name=scope, scopes=[scope]))
            secrets[scope] = {"authorization": f"Bearer {made.secret}"}
        await sync_to_async(get_services().api_keys.refresh)()
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", headers=secrets["complete"])).status_code == 403
        assert (await client.get("/metrics", headers=secrets["read"])).status_code == 200

    def test_an_observer_s_trouble_is_nobody_else_s(self, caplog: pytest.LogCaptureFixture) -> None:
        told: list[Any] = []

        def fails(entry: Any) -> None:
            raise ValueError("a secret prompt")

        notify([fails, told.append], "entry")  # type: ignore[arg-type]
        assert told == ["entry"]
        assert "could not be counted" in caplog.text


class TestTraces:
    @pytest.fixture
    def exported(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        pytest.importorskip("opentelemetry.sdk")
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        exporter = InMemorySpanExporter()
        tracer = Tracer(this_service(), exporter)
        telemetry = Telemetry(tracer, None)
        monkeypatch.setattr(
            "optimizer.wiring.installation.recording.configured_telemetry", lambda: telemetry
        )

        def spans() -> list[Any]:
            tracer._provider.force_flush()
            return list(exporter.get_finished_spans())

        yield spans
        tracer.close()

    async def test_a_request_and_its_call_are_part_of_the_client_s_trace(
        self, exported: Any, client: httpx.AsyncClient
    ) -> None:
        trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
        headers = {"traceparent": f"00-{trace}-{parent}-01"}
        await client.post("/v1/chat/completions", json=CHAT, headers=headers)
        call, request = exported()
        assert f"{request.context.trace_id:032x}" == f"{call.context.trace_id:032x}" == trace
        assert f"{request.parent.span_id:016x}" == parent
        assert call.parent.span_id == request.context.span_id
        assert request.start_time <= call.start_time <= call.end_time <= request.end_time
        record = await RequestRecord.objects.aget()
        assert call.attributes["gen_ai.provider.name"] == "claude"
        assert call.attributes["gen_ai.usage.output_tokens"] == record.tokens_out
        assert request.attributes["optimizer.request_id"] == str(record.pk)
        assert request.attributes["optimizer.cost_usd"] == f"{record.cost:f}"
        text = json.dumps([dict(span.attributes) for span in (call, request)], default=str)
        assert "Paris" not in text

    async def test_a_failure_is_one(
        self, exported: Any, client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
    ) -> None:
        for fake in fakes.values():
            fake.always(Reply(status=401, body={"error": {"message": "no"}}))
        await client.post("/complete", json=PROMPT)
        (request,) = exported()
        assert request.status.status_code.name == "ERROR"
        assert request.attributes["error.type"] == "authentication_failed"


class TestOtlpMetrics:
    async def test_calls_are_counted_by_the_conventions(
        self, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("opentelemetry.sdk")
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader

        await client.post("/v1/chat/completions", json={**CHAT, "stream": True})
        record = await RequestRecord.objects.aget()
        reader = InMemoryMetricReader()
        counts = OtlpMetrics(this_service(), reader)
        counts.observe(LedgerEntry(record))
        (resource,) = reader.get_metrics_data().resource_metrics
        found = {m.name: m for scope in resource.scope_metrics for m in scope.metrics}
        (call,) = found["gen_ai.client.operation.duration"].data.data_points
        assert dict(call.attributes) == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "claude",
            "gen_ai.request.model": record.model,
        }
        assert call.explicit_bounds == DURATIONS
        kinds = {
            point.attributes["gen_ai.token.type"]: point.sum
            for point in found["gen_ai.client.token.usage"].data.data_points
        }
        assert kinds == {"input": record.tokens_in, "output": record.tokens_out}
        assert found["gen_ai.server.time_to_first_token"].data.data_points[0].count == 1
        counts.close()

    @pytest.mark.parametrize(
        ("environment", "count"),
        [
            ({}, 0),
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, 2),
            ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}, 1),
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
              "OTEL_METRICS_EXPORTER": "none"}, 1),
        ],
    )  # fmt: skip
    def test_the_environment_says_what_is_sent(
        self, environment: dict[str, str], count: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("opentelemetry.sdk")
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert len(configured_telemetry().observers) == count


class TestLogs:
    def line(self, **more: Any) -> dict[str, Any]:
        record = logging.LogRecord("a.b", logging.ERROR, "f.py", 1, "It %s", ("broke",), None)
        record.__dict__.update(more)
        AboutRequest().filter(record)
        style = "{asctime}{levelname}{name}{message}{request_id}{trace_id}"
        said = JsonFormatter(style, style="{").format(record)
        assert "\n" not in said
        return json.loads(said)

    def test_a_line_says_which_request_it_is_about(self) -> None:
        assert self.line()["request_id"] is None
        known = uuid.uuid4()
        with working_on(known, f"00-{'a' * 32}-{'b' * 16}-01"):
            found = self.line()
        assert found["message"] == "It broke"
        assert found["request_id"] == str(known)
        assert found["trace_id"] == "a" * 32
        assert found["asctime"].endswith("+00:00")

    def test_an_exception_s_words_are_not_repeated(self) -> None:
        try:
            raise ValueError("a secret prompt")
        except ValueError as error:
            info = (ValueError, error, error.__traceback__)
        found = self.line(exc_info=info)
        assert "ValueError at " in found["exc_info"]
        assert "secret" not in json.dumps(found)


class TestReadiness:
    async def test_a_worker_that_can_answer_is_ready(self, client: httpx.AsyncClient) -> None:
        response = await client.get("/ready")
        assert (response.status_code, response.json()) == (200, {"status": "ready", "reasons": []})

    async def test_one_that_is_ending_is_not(self, client: httpx.AsyncClient) -> None:
        get_services().ending = True
        response = await client.get("/ready")
        assert response.status_code == 503
        assert response.json()["reasons"] == ["This worker is shutting down."]

    async def test_one_that_has_not_read_the_budgets_is_not(
        self, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(get_services().budgets._budgets, "value", None)
        response = await client.get("/ready")
        assert response.status_code == 503
        assert response.json()["reasons"] == ["The budgets have not been read yet."]

    def test_without_a_database_it_takes_a_disk(self, tmp_path: Path) -> None:
        known = {"ending": False, "keys_known": True, "budgets_known": True}
        records = WriteHealth(Journal(tmp_path), DatabaseCircuit())
        records.database_failed()
        records.look()
        assert health.readiness(["p"], **known, records=records)["status"] == "ready"
        (tmp_path / "file").touch()
        records = WriteHealth(Journal(tmp_path / "file"), DatabaseCircuit())
        records.database_failed()
        records.look()
        assert health.readiness(["p"], **known, records=records)["status"] == "not ready"
        assert not list(tmp_path.glob("probe-*"))

    def test_each_reason_is_told(self, tmp_path: Path) -> None:
        records = WriteHealth(Journal(tmp_path), DatabaseCircuit())
        found = health.readiness(
            [], ending=True, keys_known=False, budgets_known=False, records=records
        )
        assert len(found["reasons"]) == 4


class TestSharing:
    def test_what_a_killed_service_left_is_cleared_away(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sharing, "_MEMORY", tmp_path)
        monkeypatch.delenv(SHARED_FOLDER, raising=False)
        gone = tmp_path / f"optimizer-metrics-{2**22 + 1}-abc"
        alive = tmp_path / f"optimizer-metrics-{os.getpid()}-abc"
        for folder in (gone, alive):
            folder.mkdir()
        with sharing.metrics_shared():
            assert Path(os.environ[SHARED_FOLDER]).parent == tmp_path
            assert alive.exists()
            assert not gone.exists()
        assert SHARED_FOLDER not in os.environ
        assert list(tmp_path.iterdir()) == [alive]

    def test_an_operator_s_own_place_is_left_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(SHARED_FOLDER, "/somewhere")
        with sharing.metrics_shared():
            assert os.environ[SHARED_FOLDER] == "/somewhere"
        assert os.environ[SHARED_FOLDER] == "/somewhere"
