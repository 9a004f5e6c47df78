"""Changes of operators over the catalogue, as a function of both."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.catalogue import Catalogue, CatalogueError, load_catalogue
from providers.catalogue_changes import ModelChange, changed_catalogue

HAIKU = ("claude", "claude-haiku-5-5")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def test_a_change_keeps_all_that_it_does_not_set(catalogue: Catalogue) -> None:
    before = catalogue.find(*HAIKU)
    changed = changed_catalogue(
        catalogue, [ModelChange(*HAIKU, tier="complex", max_output=500, aliases=("small",))]
    )
    after = changed.find(*HAIKU)
    assert before is not None
    assert after is not None
    assert (after.tier, after.max_output, after.context_window) == (
        "complex", 500, before.context_window,
    )  # fmt: skip
    assert changed.find("claude", "small") is after
    assert changed.find("claude", before.aliases[0]) is None
    assert catalogue.find(*HAIKU) is before
    assert [m.ref for m in changed.models] == [m.ref for m in catalogue.models]


def test_new_models_come_last_and_incomplete_ones_not_at_all(catalogue: Catalogue) -> None:
    changed = changed_catalogue(
        catalogue,
        [
            ModelChange("vllm", "ours", tier="simple", context_window=32_000),
            ModelChange("vllm", "no window", tier="simple"),
            ModelChange("vllm", "no tier", context_window=1),
            ModelChange("nobody", "ours", tier="simple", context_window=1),
            ModelChange("vllm", "vectors", kind="embedding", context_window=512),
        ],
    )
    assert changed.models[-1].ref == "vllm/ours"
    assert changed.models[-1].rank > max(model.rank for model in catalogue.models)
    assert changed.embeddings[-1].ref == "vllm/vectors"
    assert len(changed.models) == len(catalogue.models) + 1


def test_the_operators_file_wins_and_so_does_what_it_disables(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        '[[models]]\nprovider = "vllm"\nid = "ours"\ntier = "simple"\ncontext_window = 10\n'
        'max_output = 5\nable_as = "gpt-6-luna"\n'
        '[[models]]\nprovider = "claude"\nid = "claude-haiku-5-5"\ndisabled = true\n'
    )
    own = load_catalogue(path)
    changed = changed_catalogue(
        own,
        [
            ModelChange("vllm", "ours", tier="complex"),
            ModelChange(*HAIKU, tier="simple", context_window=9),
        ],
    )
    ours = changed.find("vllm", "ours")
    assert ours is not None
    assert (ours.tier, ours.max_output, ours.able_as) == ("simple", 5, "gpt-6-luna")
    assert changed.find(*HAIKU) is None
    path.write_text(path.read_text().replace("max_output = 5", "max_output = 0"))
    with pytest.raises(CatalogueError, match=r"vllm/ours: max_output must be a positive number"):
        load_catalogue(path)


def test_an_alias_takes_no_other_model_s_id(catalogue: Catalogue) -> None:
    first, *_, last = [model for model in catalogue.models if model.provider == "openai"]
    change = ModelChange("openai", last.id, aliases=(first.id,))
    assert changed_catalogue(catalogue, [change]).find("openai", first.id) == first
