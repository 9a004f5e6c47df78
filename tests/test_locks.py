"""What is installed is pinned by hash: the locks hold all that requirements*.txt ask for."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCKED = ROOT / "requirements" / "locked"
ASKED = {"service": ROOT / "requirements.txt"} | {
    path.stem: path for path in sorted((ROOT / "requirements").glob("*.txt"))
}


def pins(path: Path) -> dict[str, set[str]]:
    """Return the versions that a file pins by package, the files that it includes too."""
    result: dict[str, set[str]] = {}
    for line in path.read_text().splitlines():
        if included := re.match(r"-r (.+)", line):
            result |= pins(path.parent / included[1])
        elif line and not line.startswith((" ", "#", "-")):
            requirement = Requirement(line.rstrip(" \\"))
            (pin,) = requirement.specifier
            assert pin.operator == "==", line
            result.setdefault(canonicalize_name(requirement.name), set()).add(pin.version)
    return result


def test_there_is_a_lock_for_each_set_of_requirements() -> None:
    assert {path.stem for path in LOCKED.glob("*.txt")} == set(ASKED)


@pytest.mark.parametrize("name", ASKED)
def test_a_lock_holds_what_its_requirements_ask_for(name: str) -> None:
    locked = pins(LOCKED / f"{name}.txt")
    for package, versions in pins(ASKED[name]).items():
        assert versions <= locked[package], f"{package}: run make lock"


@pytest.mark.parametrize("name", ASKED)
def test_every_package_of_a_lock_has_a_hash(name: str) -> None:
    blocks = re.split(r"\n(?=\S)", (LOCKED / f"{name}.txt").read_text().strip())
    assert blocks
    for block in blocks:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block


def test_no_two_locks_name_different_versions_for_the_same_python() -> None:
    together: dict[str, dict[str, str]] = {}
    for path in LOCKED.glob("*.txt"):
        if path.stem in ("tools", "pip"):
            continue  # these stand in environments of their own
        for line in re.findall(r"^[^\s#].*?(?= \\)", path.read_text(), re.M):
            requirement = Requirement(line)
            name, marker = canonicalize_name(requirement.name), str(requirement.marker)
            assert together.setdefault(name, {}).setdefault(marker, line) == line


@pytest.mark.parametrize("file", ["Makefile", "deploy/Dockerfile", ".ci/release", ".ci/audit"])
def test_whatever_installs_asks_for_hashes(file: str) -> None:
    commands = re.sub(r"\\\n", " ", (ROOT / file).read_text())
    installs = [
        line for line in commands.splitlines() if re.search(r"pip\S*( \S+)* install\b", line)
    ]
    assert installs
    for line in installs:
        assert "--require-hashes" in line, line


@pytest.mark.parametrize(
    ("words", "scheduled", "gate"),
    [
        # As pip-audit 2.10 ends: with 1 in both cases (_cli.py).
        ("Found 2 known vulnerabilities in 1 package", 1, 1),
        ("requests.exceptions.ConnectionError: Max retries exceeded", 75, 0),
    ],
)
def test_an_audit_that_loses_its_database_names_no_vulnerability(
    tmp_path: Path, words: str, scheduled: int, gate: int
) -> None:
    """Stand-ins for python3 and pip-audit: the database is reached at first."""
    stand_in = f"#!/bin/sh\\necho {words!r} >&2\\nexit 1\\n"
    python = (
        '#!/bin/sh\n[ "$1" = -m ] || exit 0\nmkdir -p "$3/bin"\n'
        'printf "#!/bin/sh\\n" >"$3/bin/pip"\n'
        f'printf "{stand_in}" >"$3/bin/pip-audit"\nchmod +x "$3"/bin/*\n'
    )
    (tmp_path / "python3").write_text(python)
    (tmp_path / "python3").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for options, status in ((["--scheduled"], scheduled), ([], gate)):
        ran = subprocess.run(
            [ROOT / ".ci" / "audit", *options], env=environment, capture_output=True, text=True
        )
        assert ran.returncode == status, ran
        assert words in ran.stderr
        assert ("NOT AUDITED" in ran.stdout) == (scheduled == 75)
