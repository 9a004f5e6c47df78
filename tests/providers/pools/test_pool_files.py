"""Pools as the catalogue's file says them, and the clients that they become."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.catalogue import CatalogueError, load_catalogue
from providers.clouds.placement import placed
from providers.http.transport import ConnectionSettings
from providers.registry import ProviderRegistry, configured_names, with_pools

POOL = """
[pools.openai]
choose = "fastest"
[[pools.openai.members]]
name = "a"
key_env = "A_KEY"
weight = 2
[[pools.openai.members]]
name = "b"
key_env = ["B_KEY", "B_OTHER_KEY"]
base_url_env = "B_URL"
most_at_once = 8
[[pools.openai.members]]
name = "sweden"
provider = "azure"
regions = ["eu"]
committed = true
key_env = "SWEDEN_KEY"
base_url_env = "SWEDEN_ENDPOINT"
settings = { deployments = "SWEDEN_DEPLOYMENTS", geography = "SWEDEN_ZONE" }
"""
ENVIRONMENT = {
    "A_KEY": "key-a", "B_OTHER_KEY": "key-b", "SWEDEN_KEY": "key-s",
    "SWEDEN_ENDPOINT": "http://127.0.0.1:9", "SWEDEN_ZONE": "eu",
    "SWEDEN_DEPLOYMENTS": "gpt-6-luna=luna-in-sweden",
}  # fmt: skip


def catalogue_of(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "catalogue.toml"
    file.write_text(text)
    return file


async def test_members_are_clients_under_the_name_of_their_provider(tmp_path: Path) -> None:
    catalogue = with_pools(placed(load_catalogue(catalogue_of(tmp_path, POOL)), ENVIRONMENT))
    assert configured_names(catalogue, ENVIRONMENT) == ["openai"]
    registry = ProviderRegistry(catalogue, ENVIRONMENT, ConnectionSettings())
    try:
        pool = registry.pools["openai"]
        assert [member.name for member in pool.members] == ["a", "b", "sweden"]
        assert {member.client.name for member in pool.members} == {"openai"}
        assert registry.providers["openai"] is pool.members[0].client
        sweden = pool.members[2]
        assert sweden.client.key_headers() == {"api-key": "key-s"}
        assert sweden.spec.models == {"gpt-6-luna"}
        assert sweden.spec.provider.geography == "eu"
        assert catalogue.providers["openai"].is_prepaid("provisioned")
        assert "key-" not in repr(pool) + repr(pool.members)
        # The same pool goes on where nothing changed, and a member comes with its key.
        registry.configure(ENVIRONMENT, local=False)
        assert registry.pools["openai"] is pool
        registry.configure({**ENVIRONMENT, "A_KEY": ""}, local=False)
        assert [m.name for m in registry.pools["openai"].members] == ["b", "sweden"]
        registry.configure({}, local=False)
        assert not registry.pools
        assert not registry.providers
    finally:
        await registry.aclose()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[pools.nobody]\n[[pools.nobody.members]]\nname='a'", "no provider of this name"),
        ("[pools.openai]", "needs"),
        ("[pools.openai]\nchoose='luck'\n[[pools.openai.members]]\nname='a'", "choose must be"),
        ("[[pools.openai.members]]\nname='a b'", "a name of letters"),
        ("[[pools.openai.members]]\nname='a'\nweigth=2", "unknown field weigth"),
        ("[[pools.openai.members]]\nname='a'\nweight=0", "weight must be above 0"),
        ("[[pools.openai.members]]\nname='a'\nweight=true", "weight must be a number"),
        ("[[pools.openai.members]]\nname='a'\nregions=['E U']", "regions has at most"),
        ("[[pools.openai.members]]\nname='a'\nregions='a,b,c,d,e,f,g'", "at most 6"),
        ("[[pools.openai.members]]\nname='a'\nmost_at_once=0", "most_at_once must be"),
        ("[[pools.openai.members]]\nname='a'\nprovider='x'", "no provider x"),
        ("[[pools.openai.members]]\nname='a'\n[[pools.openai.members]]\nname='a'", "same name"),
        ("[[pools.local.members]]\nname='a'", "embedded model"),
    ],
)
def test_a_mistake_is_named(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=words):
        load_catalogue(catalogue_of(tmp_path, text))


def test_members_speak_one_api(tmp_path: Path) -> None:
    text = (
        "[[pools.openai.members]]\nname='a'\n[[pools.openai.members]]\nname='b'\nprovider='claude'"
    )
    with pytest.raises(CatalogueError, match="one API"):
        with_pools(load_catalogue(catalogue_of(tmp_path, text)))
