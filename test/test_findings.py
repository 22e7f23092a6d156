"""Every script in findings/ keeps the form that findings/README.md states; none is run here."""
from __future__ import annotations

import itertools
import re
import shlex
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "findings"
SCRIPTS = sorted(FOLDER.glob("*.sh"))
OF_NPM = r"\w@\d+\.\d+\.\d"
PARTS = ["Seen", "Expected", "Happens", "Matters", "Do instead"]


def installed(code: str) -> list[str]:
    """The packages that the `pip install` and `npm install` lines of a script name."""
    plain = re.sub(r"^\s*#.*$", "", code, flags=re.MULTILINE)
    named = []
    for words in re.findall(r"pip3?\"? +install +((?:[^\n\\|&;]|\\\n)*)", plain):
        after_option = False
        for word in shlex.split(words.replace("\\\n", " ")):
            if re.match(r"[A-Za-z][\w.-]*(\[|$|[=<>~!])", word) and not after_option:
                named.append(word)
            after_option = word in ("--target", "--prefix", "--root", "--index-url", "-t", "-i")
    for words in re.findall(r"npm install +(.*)", plain):
        named += [word for word in shlex.split(words) if re.match(r"@?[a-z][\w./-]*(@|$)", word)]
    return named


def faults(path: Path) -> list[str]:
    """What breaks the form, in words."""
    text = path.read_text()
    lines = text.splitlines()
    header = list(itertools.takewhile(lambda line: line.startswith("#"), lines[1:]))
    code = "\n".join(lines[1 + len(header) :])
    named = installed(code)
    parts = re.findall(r"^# (\w[\w ]*): \S", "\n".join(header), re.MULTILINE)
    seen = re.match(r"# Seen: 20\d\d-\d\d-\d\d .*\d\.\d.*Linux", " ".join(header).partition("# Expected:")[0])
    found = {
        "the first line is not #!/usr/bin/env bash": lines[0] != "#!/usr/bin/env bash",
        f"the comment has not the parts {PARTS}": parts != PARTS,
        "Seen: names no date, no version or no platform": not seen,
        "no `set -euo pipefail`": "\nset -euo pipefail\n" not in text,
        "no temporary folder that is removed": not ("mktemp -d" in code and re.search(r"trap '.*rm -rf", code)),
        "nothing is installed in an exact version": not re.search(rf"==\d|{OF_NPM}", code),
        f"not all of {named} are pinned": not all("==" in word or re.search(OF_NPM, word) for word in named),
        "the project is used": bool(re.search(r"\bmapkd", code)),
        "it does not end with `as described`": not re.search(r"as described[\"']?$", lines[-1]),
        "a place of one machine is named": bool(re.search(r"/home/|/root/|/work/|/Users/", text)),
        "it is not executable": not path.stat().st_mode & 0o100,
        "bash does not understand it": subprocess.run(["bash", "-n", path], capture_output=True).returncode != 0,
    }
    return [fault for fault, there in found.items() if there]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_finding_keeps_the_form(path: Path) -> None:
    assert faults(path) == []


def test_the_folder_holds_findings_and_their_readme_alone() -> None:
    assert SCRIPTS and {path.name for path in FOLDER.iterdir()} == {path.name for path in SCRIPTS} | {"README.md"}


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("==1.2", ">=1.2", "nothing is installed in an exact version"),
        ("thing==1.2", "other thing==1.2", "not all of"),
        ("pip install --quiet", "pip install thing>=2 --quiet", "not all of"),
        ("\necho", '\nnpm install --prefix "$folder" map@1.2.3 @map/map\necho', "not all of"),
        ("# Seen: 2026-11-29 with", "# Seen: with", "no date"),
        ("# Matters: Sums are wrong.\n", "", "has not the parts"),
        ("echo", "python -c 'import mapkd_core'; echo", "the project is used"),
        ("set -euo pipefail\n", "", "set -euo"),
        ('trap \'rm -rf "$folder"\' EXIT\n', "", "temporary folder"),
        ("as described", "done", "does not end"),
        ("mktemp -d)", "mktemp -d) /home/somebody", "one machine"),
        ("echo", "if echo", "bash does not understand"),
    ],
)  # fmt: skip
def test_what_breaks_the_form_is_found(tmp_path: Path, old: str, new: str, fault: str) -> None:
    path = tmp_path / "thing_says_one.sh"
    text = (
        "#!/usr/bin/env bash\n# Seen: 2026-11-29 with thing 1.2, Linux\n# Expected: It says two.\n"
        "# Happens: It says one.\n#   So: 1.\n# Matters: Sums are wrong.\n# Do instead: Add one.\n"
        "set -euo pipefail\nfolder=$(mktemp -d)\ntrap 'rm -rf \"$folder\"' EXIT\n"
        'python3 -m pip install --quiet --target "$folder" \\\n    thing==1.2\necho "as described"\n'
    )
    path.write_text(text)
    path.chmod(0o755)
    assert faults(path) == []
    assert old in text
    path.write_text(text.replace(old, new))
    assert any(fault in found for found in faults(path)), faults(path)
