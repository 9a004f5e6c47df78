"""The catalogue: built in, and with an operator's file over it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from providers.catalogue import CatalogueError, load_catalogue
from providers.http.transport import HttpClient
from providers.local.client import LocalProvider
from providers.registry import ConnectionSettings, ProviderRegistry, is_configured

MODEL = '[[models]]\nprovider = "claude"\nid = "mine"\ntier = "simple"\ncontext_window = 100\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_the_first_design_s_names_are_aliases() -> None:
    catalogue = load_catalogue()
    for provider, name in (
        ("gemini", "gemini-1.5-flash"),
        ("claude", "claude-3-haiku-20240307"),
        ("claude", "claude-3-5-sonnet-20241022"),
        ("openrouter", "deepseek/deepseek-coder"),
    ):
        found = catalogue.find(provider, name)
        assert found is not None
        assert found.id != name


def test_every_tier_has_models_of_several_providers() -> None:
    for tier in ("simple", "moderate", "complex"):
        assert len({m.provider for m in load_catalogue().models if m.tier == tier}) >= 3


def test_an_operator_s_file_adds_changes_and_removes(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        MODEL
        + '[[models]]\nprovider = "claude"\nid = "claude-opus-5-5"\ndisabled = true\n'
        + '[providers.claude]\nwire = "anthropic"\nbase_url = "http://mine"\nkey_env = ["K"]\n',
    )
    catalogue = load_catalogue(path)
    assert catalogue.find("claude", "mine") is not None
    assert catalogue.find("claude", "claude-opus-5-5") is None
    assert catalogue.providers["claude"].base_url == "http://mine"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not toml", "mine.toml"),
        ('[[models]]\nid = "x"\n', "provider and an id"),
        (MODEL.replace("claude", "nobody"), "unknown provider nobody"),
        (MODEL.replace("simple", "easy"), "tier must be one of"),
        (MODEL.replace("100", "-1"), "context_window"),
        (MODEL + 'price = {input = "1"}\n', "price needs input and output"),
        (MODEL + 'price = {input = "x", output = "1"}\n', "not a number"),
        (MODEL + 'price = {input = "-1", output = "1"}\n', "zero or more"),
        ('[providers.x]\nwire = "telex"\n', "wire must be one of"),
        ('[providers.x]\nwire = "openai"\ndialect = 7\n', "dialect must be a table"),
        ('[providers.x]\nwire = "openai"\ndialect = { tone = 1 }\n', "not tone"),
        ('[providers.x]\nwire = "openai"\ndialect = { efforts = "low" }\n', "dialect.efforts"),
        (
            '[providers.x]\nwire = "openai"\ndialect = { call_id_length = true }\n',
            "call_id_length must be a int",
        ),
        ('[providers.x]\nwire = "gemini"\ndialect = {}\n', "only the wire openai"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CatalogueError, match=said):
        load_catalogue(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="absent.toml"):
        load_catalogue(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("environment", "enabled"),
    [
        ({}, set()),
        ({"GEMINI_API_KEY": "k"}, {"gemini"}),
        ({"GOOGLE_API_KEY": "k"}, {"gemini"}),
        ({"GEMINI_API_KEY": ""}, set()),
        ({"OLLAMA_BASE_URL": "http://x"}, {"ollama"}),
        ({"VLLM_API_KEY": "k"}, set()),
        ({"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}, {"openai", "claude"}),
        ({"LMSTUDIO_BASE_URL": "http://x"}, {"lmstudio"}),
        ({"LLAMACPP_BASE_URL": "http://x"}, {"llamacpp"}),
        ({"LLAMACPP_API_KEY": "k"}, set()),
        ({"AZURE_OPENAI_ENDPOINT": "http://x"}, {"azure"}),
        ({"AZURE_OPENAI_API_KEY": "k"}, set()),
        ({"ANTHROPIC_FOUNDRY_BASE_URL": "http://x"}, {"azure-claude"}),
        ({"VERTEX_PROJECT": "p"}, {"vertex", "vertex-claude"}),
        ({"BEDROCK_REGION": "eu-west-1"}, {"bedrock", "bedrock-claude"}),
        # On a machine of AWS this alone says nothing of Bedrock.
        ({"AWS_REGION": "eu-west-1", "AWS_BEARER_TOKEN_BEDROCK": "k"}, set()),
        *(
            ({variable: "k"}, {provider})
            for provider, variables in (
                ("mistral", ["MISTRAL_API_KEY"]),
                ("xai", ["XAI_API_KEY"]),
                ("together", ["TOGETHER_API_KEY"]),
                ("fireworks", ["FIREWORKS_API_KEY"]),
                ("cohere", ["COHERE_API_KEY", "CO_API_KEY"]),
                ("moonshot", ["MOONSHOT_API_KEY", "KIMI_API_KEY"]),
                ("zai", ["ZAI_API_KEY"]),
                ("qwen", ["DASHSCOPE_API_KEY", "QWEN_API_KEY"]),
                ("minimax", ["MINIMAX_API_KEY"]),
                ("huggingface", ["HF_TOKEN", "HUGGINGFACE_API_KEY"]),
                ("nvidia", ["NVIDIA_API_KEY", "NVIDIA_NIM_API_KEY"]),
            )
            for variable in variables
        ),
    ],
)
async def test_a_key_or_an_own_server_s_address_enables_a_provider(
    environment: dict[str, str], enabled: set[str]
) -> None:
    catalogue = load_catalogue()
    registry = ProviderRegistry(catalogue, environment, ConnectionSettings())
    assert set(registry.providers) == enabled
    assert {n for n, p in catalogue.providers.items() if is_configured(p, environment)} == enabled
    await registry.aclose()


async def test_the_embedded_model_really_answers(http: HttpClient) -> None:
    from providers.chat import Chat
    from providers.completion import CompletionRequest

    local = LocalProvider(http, httpx.Timeout(60))
    try:
        completion = await local.complete(
            CompletionRequest(
                "smollm2-135m-instruct", Chat.of_prompt("What is the capital of France?", 30)
            )
        )
        assert "Paris" in completion.text
        assert not completion.usage.estimated
        first = local._process
        assert first is not None
        first.kill()
        await first.wait()
        again = await local.complete(
            CompletionRequest("smollm2-135m-instruct", Chat.of_prompt("Say hello.", 5))
        )
        assert again.text
    finally:
        await local.aclose()
    assert first.returncode is not None
