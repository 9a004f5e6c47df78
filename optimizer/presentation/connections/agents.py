"""The lines that point each agent or SDK to this gateway.

The settings are those of Claude Code 2.1.332, Codex 0.171.0, Gemini CLI 0.61.0, opencode 1.18.33,
Aider 0.86, Cursor, Cline and Continue as their documentation describes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optimizer.presentation.connections.config_files import (
    ConfigFile,
    EnvFile,
    JsonFile,
    TomlFile,
    YamlListFile,
)

NAMES = (
    "claude-code", "codex", "gemini-cli", "opencode", "aider", "cursor", "cline", "continue",
    "openai", "anthropic",
)  # fmt: skip
_PROVIDER = "ai-cost-optimizer"
_QUESTION = "Say hello in one word."
_CONTEXT_TOKENS, _OUTPUT_TOKENS = 200_000, 32_000


@dataclass(frozen=True, slots=True)
class TestRequest:
    """A request as the agent sends it: its path, body and headers."""

    __test__ = False

    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Connection:
    """How one agent is connected.

    ``environment`` are variables to export, ``files`` the settings that do the same for good,
    ``steps`` what a person does by hand, and ``start`` the command to begin with.
    """

    name: str
    title: str
    test: TestRequest
    environment: Mapping[str, str] = field(default_factory=dict)
    files: tuple[ConfigFile, ...] = ()
    steps: tuple[str, ...] = ()
    start: str = ""

    def lines(self) -> str:
        """Return what to set, as text to copy: variables first, else the files."""
        parts = []
        if self.environment:
            parts.append("\n".join(f"export {n}={v}" for n, v in self.environment.items()))
        else:
            parts += [f"# ~/{file.path}\n{file.merged('').rstrip()}" for file in self.files]
        if self.steps:
            parts.append("\n".join(f"{n}. {step}" for n, step in enumerate(self.steps, 1)))
        if self.start:
            parts.append(self.start)
        return "\n\n".join(parts)


def connection(name: str, base: str, key: str, model: str = "auto") -> Connection:
    """Return how the agent ``name`` is connected to the gateway at ``base``.

    ``base`` is the address without a path, ``key`` an API key of the gateway.
    """
    base = base.rstrip("/")
    return _MAKERS[name](base, key, model)


def _claude_code(base: str, key: str, model: str) -> Connection:
    environment = {
        "ANTHROPIC_BASE_URL": base,
        "ANTHROPIC_AUTH_TOKEN": key,
        "ANTHROPIC_MODEL": model,
        # It then says which of its requests are titles, compactions and sub-agents.
        "CLAUDE_CODE_GATEWAY_HINT_HEADERS": "1",
    }
    return Connection(
        "claude-code", "Claude Code", _message(model, "claude-cli/2.1.332 (external, cli)"),
        environment, (JsonFile(".claude/settings.json", {"env": environment}),), start="claude",
    )  # fmt: skip


def _codex(base: str, key: str, model: str) -> Connection:
    provider = TomlFile(
        ".codex/config.toml",
        {"model_provider": _PROVIDER, "model": model},
        f"model_providers.{_PROVIDER}",
        {
            "name": '"AI Cost Optimizer"',
            "base_url": f'"{base}/v1"',
            "wire_api": '"responses"',
            "http_headers": f'{{ "Authorization" = "Bearer {key}" }}',
        },
    )
    body = {"model": model, "store": False, "input": [_turn("input_text")]}
    return Connection(
        "codex", "Codex",
        TestRequest("/v1/responses", body, {"user-agent": "codex_cli_rs/0.171.0"}),
        files=(provider,), start="codex",
    )  # fmt: skip


def _turn(kind: str) -> dict[str, Any]:
    content = [{"type": kind, "text": _QUESTION}]
    return {"type": "message", "role": "user", "content": content}


def _gemini_cli(base: str, key: str, model: str) -> Connection:
    environment = {"GOOGLE_GEMINI_BASE_URL": base, "GEMINI_API_KEY": key, "GEMINI_MODEL": model}
    settings = {"security": {"auth": {"selectedType": "gemini-api-key"}}}
    test = TestRequest(
        f"/v1beta/models/{model}:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": _QUESTION}]}]},
        {"user-agent": "GeminiCLI-tui/0.61.0/auto (linux; x64; terminal)"},
    )
    return Connection(
        "gemini-cli", "Gemini CLI", test, environment,
        (EnvFile(".gemini/.env", environment), JsonFile(".gemini/settings.json", settings)),
        start="gemini",
    )  # fmt: skip


def _opencode(base: str, key: str, model: str) -> Connection:
    limits = {"context": _CONTEXT_TOKENS, "output": _OUTPUT_TOKENS}
    settings = {
        "$schema": "https://opencode.ai/config.json",
        "model": f"{_PROVIDER}/{model}",
        "small_model": f"{_PROVIDER}/{model}",
        "provider": {
            _PROVIDER: {
                "npm": "@ai-sdk/openai-compatible",
                "name": "AI Cost Optimizer",
                "options": {"baseURL": f"{base}/v1", "apiKey": key},
                "models": {model: {"tool_call": True, "limit": limits}},
            }
        },
    }
    return Connection(
        "opencode", "opencode", _chat(model, "opencode/1.18.33 ai-sdk/provider-utils/4.0.23"),
        files=(JsonFile(".config/opencode/opencode.json", settings),), start="opencode",
    )  # fmt: skip


def _aider(base: str, key: str, model: str) -> Connection:
    settings = {
        "openai-api-base": f"{base}/v1",
        "openai-api-key": key,
        "model": f"openai/{model}",
        "weak-model": f"openai/{model}",
    }
    environment = {"OPENAI_API_BASE": f"{base}/v1", "OPENAI_API_KEY": key}
    return Connection(
        "aider", "Aider", _chat(model, "litellm/1.0"), environment,
        (EnvFile(".aider.conf.yml", settings, ": "),), start=f"aider --model openai/{model}",
    )  # fmt: skip


def _cursor(base: str, key: str, model: str) -> Connection:
    return Connection(
        "cursor", "Cursor", _chat(model, "cursor"),
        steps=(
            "Open Cursor Settings, Models, API Keys.",
            f"OpenAI API Key: {key}",
            f"Override OpenAI Base URL: {base}/v1",
            f"Add the model {model} and choose it.",
            "Cursor's servers call the gateway: its address must be public, with HTTPS.",
        ),
    )  # fmt: skip


def _cline(base: str, key: str, model: str) -> Connection:
    return Connection(
        "cline", "Cline", _chat(model, "cline"),
        steps=(
            "Open Cline's settings and choose the API provider OpenAI Compatible.",
            f"Base URL: {base}/v1",
            f"API Key: {key}",
            f"Model ID: {model}",
            f"Model configuration: context window {_CONTEXT_TOKENS}, supports images.",
        ),
    )  # fmt: skip


def _continue(base: str, key: str, model: str) -> Connection:
    item = (
        "- name: AI Cost Optimizer",
        "  provider: openai",
        f"  model: {model}",
        f"  apiBase: {base}/v1",
        f"  apiKey: {key}",
        "  roles: [chat, edit, apply]",
        "  capabilities: [tool_use, image_input]",
    )
    head = ("name: Local Assistant", "version: 1.0.0", "schema: v1")
    return Connection(
        "continue", "Continue", _chat(model, "continue"),
        files=(YamlListFile(".continue/config.yaml", "models", item, head),),
    )  # fmt: skip


def _openai(base: str, key: str, model: str) -> Connection:
    environment = {"OPENAI_BASE_URL": f"{base}/v1", "OPENAI_API_KEY": key}
    return Connection("openai", "OpenAI SDK", _chat(model, "OpenAI/Python"), environment)


def _anthropic(base: str, key: str, model: str) -> Connection:
    environment = {"ANTHROPIC_BASE_URL": base, "ANTHROPIC_API_KEY": key}
    test = _message(model, "Anthropic/Python")
    return Connection("anthropic", "Anthropic SDK", test, environment)


def _chat(model: str, agent: str) -> TestRequest:
    body = {
        "model": model,
        "max_tokens": 50,
        "messages": [{"role": "user", "content": _QUESTION}],
    }
    return TestRequest("/v1/chat/completions", body, {"user-agent": agent})


def _message(model: str, agent: str) -> TestRequest:
    body = _chat(model, "").body
    return TestRequest(
        "/v1/messages", body, {"user-agent": agent, "anthropic-version": "2023-06-01"}
    )


_MAKERS = dict(
    zip(
        NAMES,
        (_claude_code, _codex, _gemini_cli, _opencode, _aider, _cursor, _cline, _continue, _openai,
         _anthropic),
        strict=True,
    )
)  # fmt: skip
