"""Documentation: code blocks run, links resolve, and docstrings are valid numpydoc."""

import inspect
import json
import re
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest
import torch
from numpydoc.validate import validate

import skdann
from skdann.datasets import make_covariate_shift

ROOT = Path(__file__).parents[1]
DOCS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```(python|\{code-cell\} ipython3)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def code_blocks(page):
    """Return the code of a page; cells train for fewer epochs, as `make docs` runs them in full."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        code if kind == "python" else code.replace("max_epochs=200", "max_epochs=20")
        for kind, code in BLOCK.findall(text)
    ]


WITH_CODE = [page for page in ["README.md", *DOCS] if code_blocks(page)]
SLOW = {"README.md", "docs/howto.md", "docs/reliability.md", "docs/tutorial.md"}


def test_pages_with_code_are_found():
    assert {"README.md", "docs/guide/idea.md", "docs/tutorial.md"} <= set(WITH_CODE)


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * (page in SLOW)) for page in WITH_CODE],
)
def test_code_blocks_run(page, tmp_path, monkeypatch):
    X_source, y_source, X_target, y_collected = make_covariate_shift(120, random_state=0)
    names = {"X_source": X_source, "y_source": y_source, "X_target": X_target}
    names["y_collected"] = y_collected  # of the page on target labels
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("skdann._training.params.MIN_STEPS", 40)  # fewer epochs by default
    module = types.ModuleType("page_of_the_docs")  # from which dask can import functions
    monkeypatch.setitem(sys.modules, module.__name__, module)
    vars(module).update(names)
    for block in code_blocks(page):
        exec(compile(block, page, "exec"), vars(module))


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_internal_links_resolve(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), target


def test_check_links_reports_broken_links(tmp_path):
    """`make docs` checks the links of the built site; this tests the checker."""
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
    assert {"make demo", "make docs", "make test", "make test-slow"} <= set(run.splitlines())


def test_every_promise_names_existing_tests():
    file = ""
    page = (ROOT / "docs" / "reliability.md").read_text()
    named = re.findall(r"`((?:\w+/)*test_\w+\.py)?((?:::\w+)*)(?:\[\w+\])?`", page)
    assert len([name for name in named if any(name)]) >= 25
    for new_file, parts in named:
        file = new_file or file
        source = (ROOT / "tests" / file).read_text() if file else ""
        for name in re.findall(r"\w+", parts):
            assert re.search(rf"^ *(def|class) {name}\b", source, re.MULTILINE), (file, name)


# -- docstrings -------------------------------------------------------------------------------

IGNORED = {
    "ES01": "a complete summary needs no second paragraph",
    "GL01": "the text begins on the line of the quotes, as ruff's pydocstyle requires",
    "SA01": "a See Also section is optional",
}
OF_METHODS = {"EX01": "the example of the class covers its methods"}
OF_TORCH = {"forward", "extra_repr"}  # called by torch; described in the class docstring


def public_modules():
    yield skdann
    for name in skdann.__all__:
        if inspect.ismodule(getattr(skdann, name)):
            yield getattr(skdann, name)


def public_docstrings():
    """Yield the names of all public classes and functions, and of their public methods."""
    for module in public_modules():
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.ismodule(value):
                continue
            yield f"{module.__name__}.{name}"
            for method in dir(value) if inspect.isclass(value) else ():
                is_of_torch = method in OF_TORCH and issubclass(value, torch.nn.Module)
                is_ours = str(getattr(getattr(value, method), "__module__", "")).startswith(
                    "skdann"
                )
                if is_ours and not (method[0] == "_" or is_of_torch):
                    yield f"{module.__name__}.{name}.{method}"


@pytest.mark.parametrize("name", sorted(set(public_docstrings())))
def test_docstring_is_valid_numpydoc(name):
    is_method = name.rpartition(".")[0] in set(public_docstrings())
    ignored = {**IGNORED, **(OF_METHODS if is_method else {})}
    errors = [error for error in validate(name)["errors"] if error[0] not in ignored]
    assert not errors


def test_every_public_name_is_in_the_api_reference(tmp_path, monkeypatch):
    """docs/public_names.py lists the names of each package that docs/api.rst mentions."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    from public_names import write_stub_list

    write_stub_list(ROOT / "docs" / "api.rst", tmp_path / "stubs.rst")
    listed = re.findall(r"^   ([\w.]+)$", (tmp_path / "stubs.rst").read_text(), re.MULTILINE)
    names = {
        f"{module.__name__}.{name}"
        for module in public_modules()
        for name in module.__all__
        if not inspect.ismodule(getattr(module, name))
    }
    assert sorted(listed) == sorted(names)


@pytest.mark.parametrize("name", ["DANNClassifier", "DANNClassifierCV", "DANNRegressor"])
def test_every_parameter_of_an_estimator_has_a_group_on_its_page(name, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    from numpydoc.docscrape_sphinx import get_doc_object
    from parameter_groups import GROUPS, MOST_USED, group_parameters

    estimator, groups = getattr(skdann, name), GROUPS[f"skdann.{name}"]
    grouped = [parameter for members in groups.values() for parameter in members]
    assert set(inspect.signature(estimator).parameters) <= set(grouped)
    assert len(grouped) == len(set(grouped))

    doc = str(get_doc_object(estimator, config={"show_class_members": False}))
    lines = group_parameters(f"skdann.{name}", doc.splitlines())
    assert set(doc.splitlines()) - set(lines) == {":Parameters:"}
    first = lines.index(f":{MOST_USED}:")
    assert first < min(lines.index(f":{title}:") for title in groups if title != MOST_USED)


# -- notebooks and the page of a package index ------------------------------------------------


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "notebooks").glob("*.ipynb")), ids=str)
def test_notebook_is_kept_without_outputs(path):
    """`make docs` runs each notebook in a new kernel; committed outputs could be stale."""
    cells = json.loads(path.read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def test_long_description_has_no_relative_link():
    """Package indexes do not resolve relative links; pyproject.toml makes them absolute."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["metadata"]
    text = (ROOT / "README.md").read_text()
    assert re.search(r"\]\((?!http)", text)
    for rule in settings["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(rule["pattern"], rule["replacement"], text)
    assert not re.search(r"\]\((?!http)", text)
    assert "https://jmlr.org" in text
