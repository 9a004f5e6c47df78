"""manage.py connect: the lines, the files, and the request that tries them."""

from __future__ import annotations

import io
import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from analytics.models import ApiKey
from optimizer.presentation.connections.agents import NAMES, connection
from optimizer.presentation.connections.config_files import (
    CannotMerge,
    EnvFile,
    JsonFile,
    TomlFile,
    YamlListFile,
    file_write,
)

BASE = "http://gateway.example:8000"
WRITABLE = [name for name in NAMES if connection(name, BASE, "k").files]


def run(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("connect", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_the_lines_name_the_gateway_the_key_and_the_model(name: str) -> None:
    lines = connection(name, f"{BASE}/", "aco-secret", "auto").lines()
    assert BASE in lines
    assert f"{BASE}//" not in lines
    assert "aco-secret" in lines


@pytest.mark.parametrize("name", WRITABLE)
def test_written_twice_a_file_stays_the_same_and_is_private(name: str, tmp_path: Path) -> None:
    for file in connection(name, BASE, "aco-secret").files:
        path, backup = file_write(file, tmp_path)
        first = path.read_text()
        assert backup is None
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert file_write(file, tmp_path) == (path, None)
        assert path.read_text() == first
    for file in connection(name, BASE, "another").files:
        path, backup = file_write(file, tmp_path)
        assert "aco-secret" not in path.read_text()
        if backup is not None:
            assert "aco-secret" in backup.read_text()


def test_what_stood_in_the_files_stays(tmp_path: Path) -> None:
    claude = tmp_path / ".claude/settings.json"
    claude.parent.mkdir()
    claude.write_text(json.dumps({"permissions": {"allow": ["Bash"]}, "env": {"A": "1"}}))
    codex = tmp_path / ".codex/config.toml"
    codex.parent.mkdir()
    codex.write_text(
        '# mine\nmodel = "gpt-5"\napproval_policy = "never"\n\n[analytics]\nenabled = false\n\n'
        '[model_providers.ai-cost-optimizer]\nname = "old"\n\n[projects."/x"]\nmodel = "kept"\n'
    )
    for name in ("claude-code", "codex"):
        for file in connection(name, BASE, "k", "auto").files:
            file_write(file, tmp_path)
    settings = json.loads(claude.read_text())
    assert settings["permissions"] == {"allow": ["Bash"]}
    assert settings["env"]["A"] == "1"
    assert settings["env"]["ANTHROPIC_BASE_URL"] == BASE
    config = tomllib.loads(codex.read_text())
    assert (config["model"], config["model_provider"]) == ("auto", "ai-cost-optimizer")
    assert config["approval_policy"] == "never"
    assert config["analytics"] == {"enabled": False}
    assert config["projects"]["/x"] == {"model": "kept"}
    ours = config["model_providers"]["ai-cost-optimizer"]
    assert ours["base_url"] == f"{BASE}/v1"
    assert ours["http_headers"] == {"Authorization": "Bearer k"}
    assert codex.read_text().count("# mine") == 1


def test_a_list_in_yaml_gets_one_item(tmp_path: Path) -> None:
    path = tmp_path / ".continue/config.yaml"
    path.parent.mkdir()
    path.write_text("name: mine\nversion: 1.0.0\nschema: v1\nmodels:\n  - name: other\n"
                    "    provider: ollama\n    model: x\nrules:\n  - be brief\n")  # fmt: skip
    for key in ("one", "two"):
        for file in connection("continue", BASE, key).files:
            file_write(file, tmp_path)
    config = yaml.safe_load(path.read_text())
    assert [model["name"] for model in config["models"]] == ["AI Cost Optimizer", "other"]
    assert config["models"][0]["apiKey"] == "two"
    assert config["rules"] == ["be brief"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (JsonFile("x", {"a": 1}), "// a comment\n{}"),
        (JsonFile("x", {"a": 1}), "[]"),
        (TomlFile("x", {"model": "auto"}, "t", {}), "= nothing"),
        (TomlFile("x", {"model": "auto"}, "t", {}), '"model" = "gpt"\n'),
        (YamlListFile("x", "models", ("- a",)), "models: [a]\n"),
    ],
)
def test_a_file_that_cannot_be_merged_is_left_alone(file: Any, text: str) -> None:
    with pytest.raises(CannotMerge):
        file.merged(text)


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)))
def test_json_keeps_all_other_values(known: dict[str, Any]) -> None:
    merged = json.loads(JsonFile("x", {"env": {"A": "b"}}).merged(json.dumps(known)))
    assert merged == {**known, "env": {"A": "b"}}


def test_a_variable_replaces_its_own_line_alone() -> None:
    file = EnvFile("x", {"GEMINI_API_KEY": "new"})
    text = "A=1\nexport GEMINI_API_KEY=old\nGEMINI_API_KEY_2=x\n"
    assert file.merged(text) == "A=1\nGEMINI_API_KEY=new\nGEMINI_API_KEY_2=x\n"


@pytest.mark.django_db
class TestCommand:
    def test_without_a_key_that_is_needed_it_says_so(self) -> None:
        ApiKey.objects.create(name="one", prefix="aco-1", digest="d")
        out, err = run("claude-code")
        assert "YOUR_KEY" in out
        assert "--make-key" in err

    def test_it_makes_a_key_and_writes_the_files(self, tmp_path: Path) -> None:
        out, err = run(
            "codex", "--make-key", "ann", "--write", "--home", str(tmp_path), "--no-test"
        )
        secret = err.strip().splitlines()[-1]
        assert secret in (tmp_path / ".codex/config.toml").read_text()
        assert ApiKey.objects.get().name == "ann"
        assert "Begin with: codex" in out
        assert secret not in out

    def test_what_has_no_file_is_explained(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="Override OpenAI Base URL"):
            run("cursor", "--key", "k", "--write", "--home", str(tmp_path))

    def test_a_broken_file_is_left_as_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / ".claude/settings.json"
        path.parent.mkdir()
        path.write_text("// mine\n{}")
        with pytest.raises(CommandError, match="by hand"):
            run("claude-code", "--key", "k", "--write", "--home", str(tmp_path), "--no-test")
        assert path.read_text() == "// mine\n{}"

    def test_a_service_that_does_not_run_is_named(self) -> None:
        with pytest.raises(CommandError, match="Is it running"):
            run("openai", "--url", "http://127.0.0.1:9")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", NAMES)
async def test_the_request_of_each_agent_is_answered(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    test = connection(name, BASE, "any", "auto").test
    reply = await client.post(test.path, json=dict(test.body), headers=dict(test.headers))
    assert reply.status_code == 200, reply.text
    assert float(reply.headers["x-optimizer-cost"]) > 0

    def post(url: str, **fields: Any) -> httpx.Response:
        assert url == f"{BASE}{test.path}"
        return httpx.Response(200, headers=reply.headers, request=httpx.Request("POST", url))

    monkeypatch.setattr(httpx, "post", post)
    out, _ = await sync_to_async(run)(name, "--url", BASE)
    assert f"answered, for ${reply.headers['x-optimizer-cost']}" in out
