"""Code blocks of the documentation run; links resolve; docstrings are whole numpydoc."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from numpydoc.validate import validate

from skdann.datasets import make_covariate_shift

ROOT = Path(__file__).parents[1]
DOCS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```(?:python|\{code-cell\} ipython3)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def code_blocks(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    return BLOCK.findall(text)


WITH_CODE = [page for page in ["README.md", *DOCS] if code_blocks(page)]


def test_pages_with_code_are_found():
    assert {"README.md", "docs/guide/idea.md", "docs/tutorial.md"} <= set(WITH_CODE)


@pytest.mark.parametrize("page", WITH_CODE)
def test_code_blocks_run(page, tmp_path, monkeypatch):
    X_source, y_source, X_target, _ = make_covariate_shift(120, random_state=0)
    names = {"X_source": X_source, "y_source": y_source, "X_target": X_target}
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    for block in code_blocks(page):
        exec(compile(block, page, "exec"), names)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_internal_links_resolve(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), target


def test_links_of_a_built_site_are_walked(tmp_path):
    """The links of the site itself are walked by `make docs`; this is about the walker."""
    (tmp_path / "index.html").write_text('<a href="other.html#here">x</a><img src="a.png">')
    (tmp_path / "other.html").write_text('<p id="there">x</p><a href="https://a.b/c">y</a>')
    walk = [sys.executable, ROOT / "docs" / "check_links.py", tmp_path]
    done = subprocess.run(walk, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.split("\n")[1:3] == ["index.html: a.png", "index.html: other.html#here"]
    (tmp_path / "index.html").write_text('<a href="other.html#there">x</a>')
    assert subprocess.run(walk).returncode == 0


def test_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    run = (ROOT / ".ci" / "run").read_text()
    assert {"make demo", "make docs", "make test"} <= set(run.splitlines())


# -- docstrings -------------------------------------------------------------------------------

IGNORED = {
    "ES01": "a summary that says it all needs no second paragraph",
    "EX01": "methods are shown in the example of their class",
    "GL01": "text begins on the line of the quotes, as ruff has it (D212 or D213 are both numpydoc)",
    "SA01": "a See Also is there where it helps",
}


def public_objects():
    """Names of every public class and function, and of the public methods that are our own."""
    for name in [
        "skdann",
        *(f"skdann.{part}" for part in importlib.import_module("skdann").__all__),
    ]:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        for public in module.__all__:
            value = getattr(module, public)
            if inspect.ismodule(value):
                continue
            yield f"{name}.{public}"
            if inspect.isclass(value):
                for method, function in vars(value).items():
                    is_callable = inspect.isfunction(function) or isinstance(function, classmethod)
                    if is_callable and not method.startswith("_"):
                        yield f"{name}.{public}.{method}"
