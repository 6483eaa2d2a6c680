"""Versions to report: what is printed, by the function and by `python -m skdann`."""

import re
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest
import torch

import skdann
from skdann import _versions


def printed(capsys):
    """Return the names and values that show_versions prints."""
    skdann.show_versions()
    return dict(re.findall(r"^ *([\w -]+): (.+)$", capsys.readouterr().out, re.MULTILINE))


def test_versions_are_those_of_the_imported_packages(capsys):
    lines = printed(capsys)
    assert lines["skdann"] == skdann.__version__
    assert lines["torch"] == torch.__version__
    assert lines["numpy"] == np.__version__
    assert lines["python"].startswith(sys.version.split()[0])


def test_every_dependency_is_listed(capsys):
    lines = printed(capsys)
    required = [line for line in metadata.requires("skdann") if "extra ==" not in line]
    assert {re.match(r"[\w-]+", line)[0] for line in required} <= set(lines)


def test_a_missing_package_is_named_as_such(capsys, monkeypatch):
    monkeypatch.setattr(_versions, "PACKAGES", ["no-such-package"])
    assert printed(capsys)["no-such-package"] == "not installed"


def test_the_gpu_is_named(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    assert printed(capsys)["CUDA"] == f"{torch.version.cuda}, a GPU"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert printed(capsys)["CUDA"] == "not available"


@pytest.mark.slow
def test_the_command_prints_the_same(capsys):
    command = [sys.executable, "-m", "skdann"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    skdann.show_versions()
    ours, theirs = capsys.readouterr().out, done.stdout
    assert ours[: ours.index("Computing")] == theirs[: theirs.index("Computing")]
    assert done.stderr == ""
