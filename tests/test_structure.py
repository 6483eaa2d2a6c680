"""Structure of the package: imports go downward only, and public names are documented."""

import ast
import importlib
import inspect
import pkgutil
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import skdann

ROOT = Path(skdann.__file__).parent

# each module or folder may import those above it
ORDER = [
    "_compat",
    "nn",
    "_input",
    "datasets",
    "metrics",
    "model_selection",
    "_training",
    "inspection",
    "_selection",
    "_saving",
    "_base",
    "_classifier",
    "_cv",
    "_pipeline",
]
FOLDERS = {name: ROOT / name for name in ORDER if (ROOT / name).is_dir()}
MOST_MODULES = 10


def top_level_modules():
    return [module.name for module in pkgutil.iter_modules([str(ROOT)])]


def imported_names(file):
    """Return the dotted names that a file imports from skdann outside functions."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("skdann"):
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("skdann"))


def imports_of(module):
    """Return the top-level skdann modules that the files of a module import."""
    path = ROOT / module
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]:
        yield from (name.split(".")[1] for name in imported_names(file))


def imports_within(folder):
    """Return, for each module of a folder, the modules of that folder that it imports."""
    prefix = f"skdann.{folder}."
    return {
        file.stem: {
            name.removeprefix(prefix).split(".")[0]
            for name in imported_names(file)
            if name.startswith(prefix)
        }
        for file in FOLDERS[folder].glob("*.py")
        if file.stem != "__init__"
    }


def test_every_module_has_a_level():
    assert sorted(top_level_modules()) == sorted(ORDER)


@pytest.mark.parametrize("module", ORDER)
def test_imports_go_downward_only(module):
    allowed = set(ORDER[: ORDER.index(module)]) | {module}
    assert set(imports_of(module)) <= allowed


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_import_cycle_within_a_folder(folder):
    TopologicalSorter(imports_within(folder)).prepare()  # raises CycleError


def test_the_top_level_has_at_most_ten_modules():
    assert len(list(ROOT.glob("*.py"))) <= MOST_MODULES


def test_private_names_of_other_libraries_are_imported_in_compat_only():
    for file in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and file.name != "_compat.py":
                parts = (node.module or "").split(".")
                if parts[0] in {"sklearn", "skorch", "torch", "scipy", "numpy"}:
                    names = [*parts, *(alias.name for alias in node.names)]
                    assert not any(name.startswith("_") for name in names), (file.name, names)


def test_skorch_is_imported_by_training_only():
    users = {
        file.name
        for file in ROOT.rglob("*.py")
        if re.search(r"^(from|import) skorch", file.read_text(), re.MULTILINE)
    }
    assert users == {"net.py", "interface.py", "history.py", "progress.py", "early_stopping.py"}


@pytest.mark.parametrize(
    "name", ["skdann", "skdann.nn", "skdann.datasets", "skdann.inspection", "skdann.metrics"]
)
def test_all_is_sorted_and_documented(name):
    module = importlib.import_module(name)
    assert module.__all__ == sorted(module.__all__)
    for public in module.__all__:
        value = getattr(module, public)
        assert inspect.getdoc(value), public


def test_public_names_are_the_documented_ones():
    guide = (ROOT.parent / "docs" / "guide.md").read_text()
    section = guide[guide.index("## Public names") :]
    documented = set(re.findall(r"^- `skdann\.(\w+)`", section, re.MULTILINE))
    assert documented == set(skdann.__all__)
