"""The documents: their examples run, their generated page is fresh, their links lead somewhere."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from smtpcore import __main__ as tells

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```python" in page.read_text()], ids=lambda page: page.name
)
def test_examples_run(page: Path) -> None:
    """The Python blocks of a page, one after another, in one namespace."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), namespace)


def test_generated_pages_are_fresh() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / "generate.py", "--check"], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_every_row_of_the_catalogue_has_a_proof() -> None:
    page = (ROOT / "docs" / "hostile.md").read_text()
    unproved = re.findall(r"^[|] (\w+) [|].*[|]  [|]$", page, re.MULTILINE)
    assert unproved == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        if anchor:
            heads = [
                head.lower().replace(" ", "-") for head in re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            ]
            assert anchor in heads, target


@pytest.mark.parametrize("topic", tells.TOPICS)
def test_topics_print(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tells.main([topic]) == 0
    assert capsys.readouterr().out.count("\n") > 4


def test_demo_is_a_whole_session() -> None:
    said = [line for line in tells.demo().splitlines() if line[0] in "CS"]
    assert said[0] == "S: 220 mx.example.org ESMTP ready"
    assert "S: 550 5.1.1 No such mailbox" in said
    assert said[-1].startswith("S: 221")


def test_module_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["smtpcore", "limits"])
    with pytest.raises(SystemExit) as ended, pytest.warns(RuntimeWarning, match="found in sys.modules"):
        runpy.run_module("smtpcore", run_name="__main__")
    assert ended.value.code == 0
    assert "command_octets" in capsys.readouterr().out
