"""What an operator may set of the lever, and the errors of what cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

from optimizer.gateway.levers.cascade.options import CascadeOptionError, CascadeOptions
from routing.models import ModelRef


def test_options_are_read_and_what_is_not_set_has_its_default() -> None:
    assert CascadeOptions.of({}) == CascadeOptions()
    options = CascadeOptions.of(
        {
            "schema": False, "agreement": 0.8, "logprobs": None, "judge": "a/b/c",
            "command": ["code"], "cheap": ["a/b", "c/d"], "streams": True, "loss": 0.01,
        }
    )  # fmt: skip
    assert options == CascadeOptions(
        schema=False, agreement=0.8, judge=ModelRef("a", "b/c"), command=frozenset({"code"}),
        cheap=frozenset({ModelRef("a", "b"), ModelRef("c", "d")}), streams=True, loss=0.01,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "about"),
    [
        ({"speed": 1}, "speed: there is no such option"),
        ({"schema": "yes"}, "schema: must be true or false"),
        ({"agreement": 1.5}, "agreement: must be a number from 0 to 1"),
        ({"loss": True}, "loss: must be a number from 0 to 1"),
        ({"logprobs": "high"}, "logprobs: must be a number from 0 to 1"),
        ({"judge": "gpt"}, "judge: must name a model as provider/model"),
        ({"judge": 3}, "judge: must name a model as provider/model"),
        ({"cheap": "a/b"}, "cheap: must be a list of models"),
        ({"strong": []}, "strong: must be a list of models"),
        ({"strong": [3]}, "strong: must name a model"),
        ({"command": "/bin/sh -c 'rm -r /'"}, "command: must be a list of"),
        ({"command": ["sh"]}, "command: must be a list of"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], about: str) -> None:
    with pytest.raises(CascadeOptionError, match=about):
        CascadeOptions.of(options)
