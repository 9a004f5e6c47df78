"""The product's settings as one typed object."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path

from django.conf import settings

from optimizer.access.api_keys import Mode


@dataclass(frozen=True, slots=True)
class ProductSettings:
    """What the services are built from; ``.env.example`` explains each setting.

    A field is the Django setting of the same name. Amounts are USD, times are seconds.
    """

    auth: Mode
    autopilot: bool
    autopilot_confidence: float
    autopilot_daily_budget: Decimal
    autopilot_daily_points: float
    autopilot_margin: float
    autopilot_monthly_budget: Decimal
    autopilot_monthly_points: float
    autopilot_rate: float
    autopilot_share: float
    autopilot_trial_days: int
    baseline_model: str
    breaker_failures: int
    breaker_seconds: float
    breaker_window: float
    budget_unknown_input: str
    cache_max_temperature: float
    cascade_command: str
    cascade_command_seconds: float
    catalogue_file: str
    celery_broker_url: str
    cost_cap: Decimal
    cost_penalty: Decimal
    data_dir: Path
    evidence_refresh_seconds: float
    exploration_rate: float
    guarantee_confidence: float
    guarantee_reference: str
    guarantee_tolerance: float
    guardrail_moderation_model: str
    guardrail_moderation_seconds: float
    guardrail_moderation_stages: list[str]
    guardrail_moderation_streams: str
    guardrail_moderation_thresholds: dict[str, float]
    guardrail_personal_data: str
    guardrail_restore: bool
    guardrails: list[str]
    guardrails_open: list[str]
    judge_daily_budget: Decimal
    judge_model: str
    judge_rate: float
    lever_control_share: float
    lever_judge_daily_budget: Decimal
    lever_judge_rate: float
    levers: str
    manage_requests_per_minute: int
    local_provider: str
    masking: str
    max_concurrent_requests: int
    max_upstream_calls: int
    production: bool
    prompt_cache_keep_alive: bool
    prompt_caching: bool
    provider_connect_timeout: float
    provider_max_connections: int | None
    provider_read_timeout: float | None
    provider_retries: int
    quality_target: float
    queue_seconds: float
    refusals_per_client: int
    refusals_per_minute: int
    request_deadline: float
    response_cache: bool
    response_cache_seconds: int
    router_artifact: str
    routing_policy: str
    rules_file: str
    semantic_cache: bool
    session_routing: bool
    semantic_cache_entries: int
    semantic_cache_threshold: float
    semantic_cache_word_threshold: float
    shadow_daily_budget: Decimal
    shadow_margin: float
    shadow_rate: float
    shared_store: str
    store_prompts: str
    stream_idle_seconds: float
    stream_seconds: float
    tenant_weights: dict[str, float]
    unknown_models: str
    webhook_hosts: list[str]
    webhook_secret: str
    agent_models: str
    runaway: str
    runaway_cost: Decimal
    runaway_rounds: int


def product_settings() -> ProductSettings:
    """Return the settings as they are now."""
    values = {
        field.name: getattr(settings, field.name.upper()) for field in fields(ProductSettings)
    }
    return ProductSettings(**values)
