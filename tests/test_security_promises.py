"""SECURITY.md promises nothing without a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
PROMISES = re.findall(
    r"^\d+\. (.+?)(?=^\d+\. |^\*\*|^## )",
    TEXT.partition("## Promises")[2].partition("## What is not promised")[0] + "## ",
    re.MULTILINE | re.DOTALL,
)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, functions)}


def test_every_promise_names_a_test() -> None:
    assert len(PROMISES) >= 20
    assert [promise for promise in PROMISES if not NAMED.search(promise)] == []


def test_every_named_test_exists() -> None:
    named = NAMED.findall(TEXT)
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file()
        or not name.startswith("test_")
        or name not in functions_of(ROOT / path)
    ]
    assert missing == []
    assert len(named) == TEXT.count("::test_")


def test_promises_are_numbered_in_order_and_the_threats_point_at_them() -> None:
    promises = TEXT.partition("## Promises")[2].partition("## What is not promised")[0]
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", promises, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    covered = set()
    for first, last in re.findall(r"promises? (\d+)(?: to (\d+))?", TEXT):
        covered |= set(range(int(first), int(last or first) + 1))
    assert covered == set(numbers)
