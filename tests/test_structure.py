"""Structure: imports go downward only, public names are documented, each module has its tests."""

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
    "_versions",
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
    "_network",
    "_classifier",
    "_regressor",
    "_cv",
    "_pipeline",
    "__main__",
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


# -- mirror ---------------------------------------------------------------------------------------

TESTS = ROOT.parent / "tests"
# modules without a test module of the same name, and why
WITHOUT_MIRROR = {"__main__.py": "test_versions.py runs it"}
# test modules in the folders of the mirror that test several modules together, and why
ACROSS_MODULES = {
    "input/test_chunks.py": "partial_fit: labels, domains and columns of a chunk",
    "input/test_class_weights.py": "a part of labels.py with parameters of the constructor",
    "input/test_prediction.py": "rows to predict: rows, domains and columns",
    "saving/test_samples.py": "files of every format, kept in saving/samples",
    "model_selection/test_skada.py": "scorers against those of another library, which is optional",
}


def mirror_of(file):
    """Return the path of the test module of a module, relative to the folder of the tests."""
    *folders, name = (part.lstrip("_") for part in file.relative_to(ROOT).parts)
    return Path(*folders, f"test_{name}")


def has_code(file):
    """Whether a module holds more than a docstring, imports and `__all__`."""
    nodes = ast.parse(file.read_text()).body
    kinds = ast.Expr, ast.Import, ast.ImportFrom
    return any(not isinstance(node, kinds) and "__all__" not in ast.unparse(node) for node in nodes)


def mirrors():
    """Map each module, and each `__init__` with code, to its test module."""
    files = {str(f.relative_to(ROOT)): f for f in ROOT.rglob("*.py") if f.name != "__init__.py"}
    mirror = {name: mirror_of(file) for name, file in files.items()}
    for file in ROOT.glob("*/**/__init__.py"):
        if (
            has_code(file) or file.parent.name == "objective"
        ):  # which holds the table of adversaries
            folder = mirror_of(file).parent
            mirror[str(file.relative_to(ROOT))] = folder / f"test_{folder.name}.py"
    return mirror


@pytest.mark.parametrize(("module", "mirror"), sorted(mirrors().items()))
def test_every_module_has_its_test_module(module, mirror):
    assert (TESTS / mirror).exists() != (module in WITHOUT_MIRROR)


def test_every_test_module_of_the_folders_belongs_to_a_module():
    inside = {str(file.relative_to(TESTS)) for file in TESTS.rglob("*/test_*.py")}
    inside = {name for name in inside if "/" in name}
    assert inside - set(map(str, mirrors().values())) == set(ACROSS_MODULES)


def test_folders_of_tests_are_packages():
    """Several test modules share a name, and share helpers by import."""
    for folder in {file.parent for file in TESTS.rglob("test_*.py")}:
        assert (folder / "__init__.py").exists(), folder
