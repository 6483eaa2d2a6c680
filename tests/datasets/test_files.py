"""Files written whole: no reader sees an incomplete one."""

from __future__ import annotations

import os

import pytest

from skdann.datasets._files import write_whole


def test_the_content_replaces_the_old_one(tmp_path):
    path = tmp_path / "file"
    for content in (b"first, and longer", b"second"):
        write_whole(path, content)
        assert path.read_bytes() == content
        write_whole(str(path), content)
    assert os.listdir(tmp_path) == ["file"]


def test_the_new_content_is_complete_before_it_is_seen(tmp_path, monkeypatch):
    path, seen = tmp_path / "file", []
    path.write_bytes(b"old")
    replace = os.replace

    def watch(temporary, target):
        seen.append((path.read_bytes(), temporary.read_bytes(), temporary.name))
        replace(temporary, target)

    monkeypatch.setattr(os, "replace", watch)
    write_whole(path, b"new")
    ((old, new, name),) = seen
    assert (old, new) == (b"old", b"new")
    assert name.startswith(".file.")
    assert name.endswith(".tmp")


def test_the_content_is_on_the_disk_before_the_file_is_replaced(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *args, name=name, real=real: (calls.append(name), real(*args))
        )
    write_whole(tmp_path / "file", b"new")
    assert calls == ["fsync", "replace"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_alone(step, error, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*args):
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(error):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_the_error_is_that_of_the_write_even_if_the_rest_cannot_be_removed(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("first" if args[:1] != () and isinstance(args[0], int) else "second")

    monkeypatch.setattr(os, "fsync", fail)
    monkeypatch.setattr(type(tmp_path), "unlink", fail)
    with pytest.raises(OSError, match="first"):
        write_whole(tmp_path / "file", b"new")


def test_the_target_of_a_link_is_replaced(tmp_path):
    link, path = tmp_path / "link", tmp_path / "folder" / "file"
    path.parent.mkdir()
    link.symlink_to(path)
    write_whole(link, b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"


def test_long_names_are_allowed(tmp_path):
    path = tmp_path / ("x" * 255)
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "none" / "file", b"new")
