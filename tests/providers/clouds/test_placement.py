"""What the environment says of clouds: deployments, places, profiles."""

from __future__ import annotations

from decimal import Decimal

import pytest

from providers.catalogue import Catalogue, CatalogueError, load_catalogue
from providers.clouds.placement import placed
from providers.known_models import KnownModels
from providers.pricing import PriceBook

DEPLOYED = {"AZURE_OPENAI_DEPLOYMENTS": "gpt-6.1-sol = prod-sol, gpt-6-luna, gpt-4o=old"}


def names(catalogue: Catalogue, provider: str) -> list[str]:
    return [model.id for model in catalogue.models if model.provider == provider]


def test_deployed_models_are_those_of_their_maker() -> None:
    catalogue = placed(load_catalogue(), DEPLOYED)
    assert names(catalogue, "azure") == ["gpt-6-luna", "gpt-6.1-sol"]
    own, maker = catalogue.find("azure", "gpt-6.1-sol"), catalogue.find("openai", "gpt-6.1-sol")
    assert own is not None
    assert maker is not None
    assert (own.tier, own.context_window) == (maker.tier, maker.context_window)
    # What the catalogue does not have can be named, and what is not deployed cannot.
    known = KnownModels(catalogue)
    spec = known.find("azure", "GPT-4o")
    assert spec is not None
    assert spec.id == "gpt-4o"
    assert known.find("azure", "gpt-5") is None
    assert names(placed(load_catalogue(), {}), "azure") == []


def test_an_operator_s_own_entry_wins(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "own.toml"
    path.write_text(
        '[[models]]\nprovider = "azure"\nid = "gpt-6.1-sol"\ntier = "simple"\n'
        "context_window = 1000\n"
    )
    catalogue = placed(load_catalogue(path), DEPLOYED)
    assert [m.tier for m in catalogue.models if m.ref == "azure/gpt-6.1-sol"] == ["simple"]


def test_a_list_that_cannot_be_read_names_its_variable() -> None:
    with pytest.raises(CatalogueError, match="AZURE_OPENAI_DEPLOYMENTS.*gpt-6.1-sol="):
        placed(load_catalogue(), {"AZURE_OPENAI_DEPLOYMENTS": "gpt-6.1-sol="})


@pytest.mark.parametrize(
    ("environment", "provider", "model", "dearer"),
    [
        ({"AZURE_OPENAI_DATA_ZONE": "us"}, "azure", "gpt-6.1-sol", "1.1"),
        ({"AZURE_OPENAI_DATA_ZONE": "EU"}, "azure", "gpt-6.1-sol", "1.2"),
        ({"AZURE_OPENAI_DATA_ZONE": "eu"}, "azure", "gpt-5", "1.1"),
        ({"ANTHROPIC_FOUNDRY_DATA_ZONE": "us"}, "azure-claude", "claude-opus-5-5", "1.1"),
        ({"VERTEX_LOCATION": "global"}, "vertex", "gemini-4-argon", "1"),
        ({"VERTEX_LOCATION": "europe-west1"}, "vertex", "gemini-4-argon", "1.1"),
        ({"VERTEX_LOCATION": "europe-west1"}, "vertex", "gemini-2.5-pro", "1"),
        ({"VERTEX_LOCATION": "eu"}, "vertex-claude", "claude-opus-5-5", "1.1"),
        ({"VERTEX_LOCATION": "us-east5"}, "vertex-claude", "claude-3-haiku", "1"),
    ],
)
def test_a_place_changes_the_price_and_what_budgets_hold(
    environment: dict[str, str], provider: str, model: str, dearer: str
) -> None:
    anywhere = PriceBook(placed(load_catalogue(), {}))
    here = PriceBook(placed(load_catalogue(), environment))
    usual, rates = anywhere.rates(provider, model), here.rates(provider, model)
    assert usual is not None
    assert rates is not None
    for unit, rate in usual.by_unit().items():
        assert rates.by_unit()[unit].base == rate.base * Decimal(dearer)
    most, usual_most = (
        here.most(provider, model, 1000, 100),
        anywhere.most(provider, model, 1000, 100),
    )
    assert most is not None
    assert usual_most is not None
    assert most == usual_most * Decimal(dearer)


def test_a_profile_serves_the_catalogue_s_models_in_its_place_at_its_price() -> None:
    catalogue = placed(load_catalogue(), {"BEDROCK_PROFILE": "eu"})
    claude = names(catalogue, "bedrock-claude")
    assert claude
    assert all(name.startswith("eu.anthropic.") for name in claude)
    # Models without a global profile are in the region itself.
    assert "openai.gpt-oss-20b-1:0" in names(catalogue, "bedrock")
    book = PriceBook(catalogue)
    opus = {place: book.rates("bedrock-claude", f"{place}.anthropic.claude-opus-5-5")
            for place in ("global", "eu", "us", "jp")}  # fmt: skip
    prices = {place: rates and rates.input.base for place, rates in opus.items()}
    assert prices == {
        "global": Decimal(4), "eu": Decimal("4.4"), "us": Decimal("4.4"), "jp": Decimal("4.4"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("provider", "written", "sent"),
    [
        ("bedrock-claude", "claude-opus-5-5", "global.anthropic.claude-opus-5-5"),
        ("bedrock-claude", "us.anthropic.claude-opus-5-5", "us.anthropic.claude-opus-5-5"),
        (
            "bedrock-claude",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-5-5",
            "us.anthropic.claude-opus-5-5",
        ),
        ("bedrock", "us.anthropic.claude-opus-5-5", None),
        ("bedrock-claude", "openai.gpt-oss-20b-1:0", None),
        ("vertex-claude", "claude-haiku-4-5", "claude-haiku-4-5@20251001"),
        ("vertex-claude", "gemini-3.8-flash", None),
        ("vertex", "claude-opus-5-5", None),
    ],
)
def test_each_half_of_a_cloud_has_its_own_models(
    provider: str, written: str, sent: str | None
) -> None:
    spec = KnownModels(load_catalogue()).find(provider, written)
    assert (spec and spec.id) == sent
