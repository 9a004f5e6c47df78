"""Secrets from files: taken over, never shown, never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from optimizer.shared.secret_files import read_secret_files


def test_what_stands_in_the_file_is_the_secret(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("s3cret\n")
    environ = {
        "SECRET_KEY_FILE": str(tmp_path / "a"),
        "GROQ_API_KEY_FILE": str(tmp_path / "a"),
        "RULES_FILE": "/a/setting/of/its/own.toml",
        "DATABASE_URL_FILE": "",
        "HOME": "/root",
    }
    before = dict(environ)
    read_secret_files(environ)
    assert environ == {**before, "SECRET_KEY": "s3cret", "GROQ_API_KEY": "s3cret"}


@pytest.mark.parametrize(
    ("content", "environ", "error"),
    [
        (b"s3cret", {"SECRET_KEY": "other"}, "either SECRET_KEY or SECRET_KEY_FILE"),
        (None, {}, "cannot be read"),
        (b"\xff\xfe s3cret", {}, "cannot be read"),
    ],
)
def test_what_cannot_be_is_said_without_the_secret(
    tmp_path: Path, content: bytes | None, environ: dict[str, str], error: str
) -> None:
    path = tmp_path / "a"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImproperlyConfigured, match=error) as caught:
        read_secret_files({**environ, "SECRET_KEY_FILE": str(path)})
    assert "s3cret" not in str(caught.value)
