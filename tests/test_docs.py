"""Every code block of the guide and the README runs, in order, and every internal link resolves."""

import re
from pathlib import Path

import pytest

from skdann.datasets import make_covariate_shift

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "docs/guide.md", "docs/reliability.md", "CONTRIBUTING.md", "CHANGELOG.md"]


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md", "docs/reliability.md"])
def test_code_blocks_run(page, tmp_path, monkeypatch):
    X_source, y_source, X_target, _ = make_covariate_shift(120, random_state=0)
    names = {"X_source": X_source, "y_source": y_source, "X_target": X_target}
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL
    )
    assert len(blocks) >= 3
    for block in blocks:
        exec(compile(block, page, "exec"), names)


@pytest.mark.parametrize("page", PAGES)
def test_internal_links_resolve(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), target


def test_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_every_promise_names_tests_that_exist():
    file = ""
    page = (ROOT / "docs" / "reliability.md").read_text()
    named = re.findall(r"`(test_\w+\.py)?((?:::\w+)*)(?:\[\w+\])?`", page)
    assert len([name for name in named if any(name)]) >= 25
    for own_file, parts in named:
        file = own_file or file
        source = (ROOT / "tests" / file).read_text() if file else ""
        for name in re.findall(r"\w+", parts):
            assert re.search(rf"^ *(def|class) {name}\b", source, re.MULTILINE), (file, name)
