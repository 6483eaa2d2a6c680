"""Package: contents of wheel and sdist; importing is light and prints nothing.

`make package` installs the wheel into an empty environment and runs the README's first example.
"""

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import skdann

ROOT = Path(skdann.__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the wheel and the sdist from the current source."""
    pytest.importorskip("hatchling")
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("needs the source tree")
    folder = tmp_path_factory.mktemp("dist")
    for target in ("wheel", "sdist"):
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


def test_wheel_contains_only_the_package(built):
    names = set(zipfile.ZipFile(built[0]).namelist())
    source = {str(file.relative_to(ROOT)) for file in (ROOT / "skdann").rglob("*.py")}
    about = f"skdann-{skdann.__version__}.dist-info"
    metadata = {f"{about}/{name}" for name in ("METADATA", "WHEEL", "RECORD")}
    assert names == source | metadata | {"skdann/py.typed", f"{about}/licenses/LICENSE"}


def test_sdist_contains_everything_to_build_and_test(built):
    with tarfile.open(built[1]) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
        assert all(member.isfile() for member in archive.getmembers())
    tops = {name.partition("/")[0] for name in files}
    needed = {"skdann", "tests", "docs", "examples", "benchmarks"}
    needed |= {".ci", "recipe", "Makefile", "constraints.txt", "constraints-lowest.txt"}
    texts = {"CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "README.md", "LICENSE"}
    texts |= {"RELEASING.md", "SECURITY.md"}
    assert needed | texts | {"pyproject.toml", "PKG-INFO"} <= tops
    assert tops <= needed | texts | {"pyproject.toml", "PKG-INFO", ".gitignore"}
    for folder in ("skdann", "tests"):
        wanted = [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).glob("saving/samples/*/*")]
        on_disk = {str(file.relative_to(ROOT)) for file in wanted}
        assert {name for name in files if name.startswith(folder + "/")} - on_disk <= {
            "skdann/py.typed"
        }
        assert on_disk <= files
    endings = {os.path.splitext(name)[1] for name in files}
    assert not endings & {".pyc", ".whl", ".gz", ".zip", ".pkl", ".npz", ".so"}


def test_metadata(built):
    with zipfile.ZipFile(built[0]) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
        metadata = wheel.read(name).decode()
    assert re.search(rf"^Version: {re.escape(skdann.__version__)}$", metadata, re.MULTILINE)
    readme = (ROOT / "README.md").read_text()
    assert readme[readme.index("## Use") : readme.index("- **Label shift")] in metadata
    assert "](docs/" not in metadata  # package indexes do not resolve relative links
    for extra in ("onnx", "plots"):
        assert f"Provides-Extra: {extra}" in metadata
    needed = re.findall(r"^Requires-Dist: ([\w-]+)[^;]*$", metadata, re.MULTILINE)
    assert not set(needed) & {"matplotlib", "pandas", "onnx", "onnxruntime", "skops"}


def test_files_for_a_release_name_its_version():
    """Between releases, with a version that ends with .dev0, they name the last one."""
    paths = ROOT / "CITATION.cff", ROOT / "recipe" / "recipe.yaml"
    texts = [path.read_text(encoding="utf-8") for path in paths]
    versions = {re.search(r"^ *version: (\d.*)$", text, re.MULTILINE)[1] for text in texts}
    assert len(versions) == 1
    assert skdann.__version__ in versions or skdann.__version__.endswith(".dev0")


def test_the_conda_recipe_requires_what_the_package_requires():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    required = [line.replace(">=", " >=") for line in project["project"]["dependencies"]]
    required += [f"python{project['project']['requires-python']}".replace(">=", " >=")]
    host = [line.replace(">=", " >=") for line in project["build-system"]["requires"]]
    recipe = (ROOT / "recipe" / "recipe.yaml").read_text(encoding="utf-8")
    recipe = recipe.replace("${{ python_min }}", re.search(r'python_min: "(.+)"', recipe)[1])
    recipe = recipe.replace("pytorch", "torch")  # its name on conda-forge
    run = re.search(r"^  run:\n((?:    - .*\n)+)", recipe, re.MULTILINE)[1]
    assert sorted(re.findall(r"- (.+)", run)) == sorted(required)
    assert all(f"    - {line}\n" in recipe for line in host)


FRESH = """
import json, socket, sys

class Refused(socket.socket):
    def __init__(self, *args, **kwargs): raise SystemExit("a socket was made")

def refuse(*args, **kwargs): raise SystemExit("a connection was opened")

def report(step):
    with open(sys.argv[1], "a") as file:
        file.write(json.dumps([step, sorted(set(sys.modules) - before)]) + "\\n")

connect = socket.socket, socket.create_connection, socket.getaddrinfo
socket.socket = Refused
socket.create_connection = socket.getaddrinfo = refuse
import sklearn, skorch, torch
before = set(sys.modules)
import skdann
report("import")
socket.socket, socket.create_connection, socket.getaddrinfo = connect
X, y, X_target, _ = skdann.datasets.make_covariate_shift(20, random_state=0)
clf = skdann.DANNClassifier(max_epochs=1).fit(X, y, X_target)
clf.predict(X)
report("fit")
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Import skdann without connections, then fit, in a new process; return what it did.

    The result is the process, and the modules that were imported up to each step.
    """
    path = tmp_path_factory.mktemp("fresh") / "modules"
    command = [sys.executable, "-c", FRESH, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done, dict(map(json.loads, path.read_text().splitlines()))


@pytest.mark.slow
def test_import_opens_no_connection_and_prints_nothing(fresh):
    done, _ = fresh
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "heavy"),
    [
        ("import", {"matplotlib", "pandas", "onnx", "sklearn.ensemble", "sklearn.datasets"}),
        ("fit", {"matplotlib", "pandas", "onnx"}),
    ],
)
def test_heavy_packages_are_not_imported(step, heavy, fresh):
    heavy = heavy | {"IPython", "polars", "pyarrow", "skl2onnx"}
    _, modules = fresh
    assert "skdann._classifier" in modules[step]
    assert not heavy & set(modules[step])
