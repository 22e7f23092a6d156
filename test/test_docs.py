"""The documentation: the site is built strictly, commands and examples run or could run, links lead somewhere."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import doc_blocks
import pytest
from doc_blocks import PAGES, ROOT, Block

BLOCKS = [block for page in PAGES for block in doc_blocks.blocks(page)]
CODE = [block for block in BLOCKS if block.language in ("bash", "python")]


def names(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_pages_were_found() -> None:
    assert len(PAGES) > 20 and len(CODE) > 30 and {block.mark for block in CODE} == {"", "needs", "takes"}


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "bash"], ids=str)
def test_every_command_could_run(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = list(doc_blocks.commands(block.text))
    assert found, "the block has no command"
    assert doc_blocks.unmarked_faults(block) == []
    assert [fault for words in found if (fault := doc_blocks.check(words))] == []


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python"], ids=str)
def test_every_example_is_python(block: Block) -> None:
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_commands_stand_in_blocks_that_say_so_and_exist_in_running_text(page: Path) -> None:
    for block in doc_blocks.blocks(page):
        assert block.language or not re.search(r"^(mapkd|ros2|python|pip|make) ", block.text, re.MULTILINE), str(block)
    lines = list(doc_blocks.inline_commands(page))
    assert [(line, fault) for line in lines if (fault := doc_blocks.check_inline(line))] == []


def test_example_commands_in_help_texts_and_configs_could_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = list(doc_blocks.commands_in_comments())
    assert len(found) > 60
    assert [(place, fault) for place, words in found if (fault := doc_blocks.check(words))] == []


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("mapkd trian --config x", "no command 'trian'"),
        ("mapkd sim export --owt drive", "refuses"),
        ("mapkd train --config config/train/student.yaml --stepps 3", "unknown key"),
        ("mapkd train --config config/train/nowhere.yaml", "expected a config"),
        ("mapkd benchmark distill --plan nowhere.yaml", "no plan"),
        ("make tset", "the Makefile has no tset"),
        ("python benchmarks/nowhere.py", "no file benchmarks/nowhere.py"),
        ("pip install '.[nothing]'", "no extra nothing"),
        ("pip install 'mapkd_ros[" + "train]'", "on no package index"),
        ("ros2 run mapkd_ros student_node --ros-args -p devise:=cpu", "no parameters ['devise']"),
        ("ros2 launch mapkd_ros student.launch.py plays:=x", "no arguments ['plays']"),
        (". scripts/nowhere.sh", "no file scripts/nowhere.sh"),
        ("mpakd train", "no command 'mpakd' is known"),
    ],
)
def test_a_wrong_command_is_found(command: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (words,) = doc_blocks.commands(command)
    assert fault in doc_blocks.check(words)


def test_a_wrong_command_in_running_text_is_found() -> None:
    assert "no command 'trian'" in doc_blocks.check_inline("mapkd trian")
    assert "--owt" in doc_blocks.check_inline("mapkd sim export --owt drive")
    assert doc_blocks.check_inline("mapkd sim export --seed ...") == ""


def test_a_block_that_no_test_may_run_needs_a_mark() -> None:
    text = "pip install -e .\nmapkd --version\n"
    assert "begin it with" in doc_blocks.unmarked_faults(Block(ROOT / "x.md", 1, "bash", text))[0]
    assert doc_blocks.unmarked_faults(Block(ROOT / "x.md", 1, "bash", f"# needs: internet\n{text}")) == []


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like the checkout, so that what commands write stays outside it."""
    for path in ROOT.iterdir():
        if path.name not in ("runs", "demo", ".git", "build", "install", "log"):
            (tmp_path / path.name).symlink_to(path)
    return tmp_path


def run(blocks: list[Block], folder: Path) -> None:
    """Runs blocks one after the other, as a reader would; `make` and sourced files belong to the set-up."""
    environment = {k: v for k, v in os.environ.items() if k != "MAPKD_DATAROOT"}
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{environment.get('PYTHONPATH', '')}"
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    for block in blocks:
        assert doc_blocks.unmarked_faults(block) == []
        text = re.sub(r"^(make|\.) .*$", "", block.text, flags=re.MULTILINE)
        command = [sys.executable, "-c", text] if block.language == "python" else ["bash", "-e", "-c", text]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1200)
        advice = "a block that needs something begins with `# needs: ...`, a slow one with `# takes: ...`"
        assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}\n{advice}"
        if block.language == "python" and "print(" in block.text:
            assert done.stdout.strip(), f"{block} printed nothing"


@pytest.mark.parametrize("page", [p for p in PAGES if any(b.page == p and not b.mark for b in CODE)], ids=names)
def test_blocks_without_a_mark_run(page: Path, checkout: Path) -> None:
    pytest.importorskip("torch")
    if shutil.which("mapkd", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("the command mapkd is not installed beside this Python: pip install -e .")
    run([b for b in CODE if b.page == page and not b.mark], checkout)


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if any(b.page == p and b.mark == "takes" for b in CODE)], ids=names)
def test_blocks_that_take_a_while_run_in_their_order(page: Path, checkout: Path) -> None:
    pytest.importorskip("onnxscript", reason="export needs: pip install '.[export]'")
    run([b for b in CODE if b.page == page and b.mark != "needs"], checkout)


LINKED = [*PAGES, ROOT / "CHANGELOG.md", *sorted((ROOT / "benchmarks" / "results").glob("*.md"))]
LINK = re.compile(r"(?<!`)\[[^\]\n]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get, here and on code hosts."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.replace("`", "")).strip().lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", LINKED, ids=names)
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    generated = _generated()
    for target in LINK.findall(page.read_text()):
        if re.match(r"https?://|mailto:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        if ROOT / "docs" in path.parents and str(path.relative_to(ROOT / "docs")) in generated:
            continue  # mkdocs --strict checks these, with their headings
        assert path.exists(), f"{target}: no {path}"
        assert not anchor or anchor in anchors(path), f"{target}: no such heading in {path}"


def _generated() -> set[str]:
    text = (ROOT / "scripts" / "docs_reference.py").read_text()
    return set(re.findall(r'^        "(reference/\w+\.md)": ', text, re.MULTILINE))


def test_the_readme_is_short() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 80
    assert text.count("![") >= 2 and "make demo" in text and "make test" in text
    (example,) = [b for b in CODE if b.page.name == "README.md" and b.language == "python"]
    assert not example.mark, "the example of the README must run"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="building the site needs: pip install -r requirements/docs.txt")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_is_built_without_a_warning_and_shows_what_the_code_says(site: Path) -> None:
    from mapkd_core.commands.main import COMMANDS
    from mapkd_core.config_keys import keys_of
    from mapkd_core.distill.config import DistillConfig
    from mapkd_ros.node.student_parameters import PARAMETERS
    from mapkd_ros.topics import NODES

    def text(page: str) -> str:
        return (site / page).read_text()

    assert all(f"mapkd {name}" in text("reference/commands.html") for name in COMMANDS)
    assert all(f">{key.name}<" in text("reference/config.html") for key in keys_of(DistillConfig))
    assert all(f">{row.name}<" in text("reference/parameters.html") for row in PARAMETERS)
    shown = text("reference/topics.html").replace("&lt;", "<").replace("&gt;", ">")
    assert all(f">{topic.name}<" in shown for ways in NODES.values() for way in ways for topic in way)
    assert "mapkd_core.predictor.MapPredictor.predict" in text("reference/python.html")
    assert "source_stamps" in text("reference/messages.html")
    assert "is not granted" in text("reference/weights.html")
    assert (site / "files" / "benchmarks" / "results" / "front_2026-11-30.html").is_file()


def test_no_page_of_the_site_is_a_stub(site: Path) -> None:
    for path in site.rglob("*.html"):
        body = re.search(r"<article.*?</article>", path.read_text(), re.DOTALL)
        words = re.sub(r"<[^>]*>", " ", body[0]).split() if body else []
        assert len(words) > 60 or path.name == "404.html", f"{path.relative_to(site)} has {len(words)} words"
