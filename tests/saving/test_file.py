"""The file format: JSON and raw tensors only, written whole, and verified."""

import copy
import errno
import io
import json
import math
import os
import pickle
import random
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skdann import DANNClassifier
from tests.saving.common import read, write


class TestNoPickle:
    def test_nothing_is_unpickled(self, saved, monkeypatch):
        def refuse(*args, **kwargs):
            pytest.fail("unpickled")  # not an Exception, so load does not convert it

        for module, name in ((pickle, "loads"), (pickle, "load"), (pickle, "Unpickler")):
            monkeypatch.setattr(module, name, refuse)
        monkeypatch.setattr(torch, "load", refuse)
        DANNClassifier.load(saved)

    def test_the_file_is_json_and_raw_tensors_to_the_last_byte(self, clf, saved):
        content = saved.read_bytes()
        n_header = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + n_header])
        assert header.pop("__metadata__").keys() == {"skdann"}
        spans = sorted(tensor["data_offsets"] for tensor in header.values())
        assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
        assert 8 + n_header + spans[-1][1] == len(content)
        weights = header["module.label_predictor.0.weight"]
        start, end = (8 + n_header + offset for offset in weights["data_offsets"])
        raw = np.frombuffer(content[start:end], "<f4").reshape(weights["shape"])
        np.testing.assert_array_equal(raw, clf.module_.label_predictor[0].weight.detach())

    def test_a_pickle_raises_without_being_read(self, clf, path):
        class Bomb:
            def __reduce__(self):
                return pytest.fail, ("unpickled",)

        path.write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(ValueError, match="not a complete safetensors file"):
            DANNClassifier.load(path)
        torch.save(clf.module_.state_dict(), path)
        with pytest.raises(ValueError, match="not a complete safetensors file"):
            DANNClassifier.load(path)


class TestAtomicity:
    @pytest.mark.parametrize("step", ["write", "fsync", "replace"])
    def test_failed_save_keeps_the_old_file_and_leaves_no_other(
        self, step, clf, saved, monkeypatch, tmp_path
    ):
        before = saved.read_bytes()
        full = OSError(errno.ENOSPC, "No space left on device")

        def fail(*args, **kwargs):
            raise full

        class FullDisk(io.FileIO):
            def write(self, content):
                super().write(content[:100])
                raise full

        if step == "write":
            monkeypatch.setattr("skdann.datasets._files.open", FullDisk, raising=False)
        else:
            monkeypatch.setattr(os, step, fail)
        with pytest.raises(OSError, match="No space left"):
            clf.save(saved)
        monkeypatch.undo()
        assert saved.read_bytes() == before
        assert os.listdir(tmp_path) == [saved.name]

    @pytest.mark.slow
    def test_a_full_disk(self, clf, saved, domains, tmp_path):
        before, model = saved.read_bytes(), tmp_path / "pickled"
        model.write_bytes(pickle.dumps(clf))
        code = (
            "import pickle, resource, signal, sys\n"
            "clf = pickle.load(open(sys.argv[1], 'rb'))\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
            "try:\n    clf.save(sys.argv[2])\n"
            "except OSError as error:\n    print(error.strerror)\n"
        )
        run = subprocess.run(
            [sys.executable, "-c", code, str(model), str(saved)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == os.strerror(errno.EFBIG)
        assert saved.read_bytes() == before
        assert sorted(os.listdir(tmp_path)) == sorted([saved.name, model.name])

    def test_interrupt_leaves_no_temporary_file(self, clf, path, monkeypatch, tmp_path):
        def interrupt(*args):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            clf.save(path)
        assert os.listdir(tmp_path) == []

    def test_os_errors_are_raised_unchanged(self, clf, tmp_path):
        with pytest.raises(FileNotFoundError):
            clf.save(tmp_path / "no folder" / "model")
        with pytest.raises(IsADirectoryError):
            clf.save(tmp_path)
        with pytest.raises(FileNotFoundError):
            DANNClassifier.load(tmp_path / "missing")
        with pytest.raises(IsADirectoryError):
            DANNClassifier.load(tmp_path)
        assert os.listdir(tmp_path) == []

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_read_only_folder(self, clf, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(PermissionError):
            clf.save(tmp_path / "model")

    def test_links_are_followed_and_the_umask_applies(self, clf, path, tmp_path):
        link = tmp_path / "link"
        link.symlink_to(path)
        old = os.umask(0o027)
        try:
            clf.save(link)
        finally:
            os.umask(old)
        assert link.is_symlink()
        assert path.stat().st_mode & 0o777 == 0o640

    @pytest.mark.slow
    def test_killed_at_random_moments(self, tmp_path):
        script = """if True:
            import glob, os, random, signal, sys, time
            import numpy as np
            from skdann import DANNClassifier, DANNClassifierCV, make_pipeline
            X, y = np.random.RandomState(0).randn(40, 4), np.arange(40) % 2
            both = [
                DANNClassifier(feature_extractor=(512, 512), max_epochs=1, random_state=seed)
                .fit(X, y, X) for seed in (0, 1)
            ]
            probas = [clf.predict_proba(X) for clf in both]
            path = os.path.join(sys.argv[1], "model")
            both[0].save(path)
            actual = []
            random.seed(0)
            cut = []
            while len(actual) < 15 or not cut and len(actual) < 200:  # until a write is interrupted
                child = os.fork()
                if not child:
                    while True:
                        for clf in both[::-1]:
                            clf.save(path)
                time.sleep(random.uniform(0.01, 0.2))
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                proba = DANNClassifier.load(path).predict_proba(X)
                actual.append([np.array_equal(proba, other) for other in probas].index(True))
                cut = glob.glob(sys.argv[1] + "/.model.*.tmp")
            print(len(cut))
            """
        run = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=False,
        )
        assert run.returncode == 0, run.stderr
        assert int(run.stdout) > 0, "no kill fell into a write, so this showed nothing"


class TestFuzz:
    @pytest.fixture(scope="class")
    @staticmethod
    def sound(tmp_path_factory):
        rng = np.random.RandomState(0)
        X, y = rng.standard_normal((20, 3)), np.arange(20) % 2
        clf = DANNClassifier(feature_extractor=(4,), domain_classifier=(), max_epochs=2)
        folder = tmp_path_factory.mktemp("fuzz")
        clf.fit(X, y, X).save(folder / "sound")
        return X, clf, folder / "sound", (folder / "sound").read_bytes()

    @staticmethod
    def load_or_refuse(sound, path):
        X, clf, *_ = sound
        try:
            with warnings.catch_warnings(action="error"):
                loaded = DANNClassifier.load(path)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017
            return None
        original, other = clf.module_.state_dict(), loaded.module_.state_dict()
        assert {k: v.shape for k, v in original.items()} == {k: v.shape for k, v in other.items()}
        assert all(bool(value.isfinite().all()) for value in other.values())
        assert loaded.predict_proba(X).shape == (20, 2)
        return loaded

    @settings(max_examples=300)
    @given(data=st.data())
    def test_changed_bytes_and_truncated_files(self, sound, data):
        content = bytearray(sound[3])
        n_header = 8 + int.from_bytes(content[:8], "little")
        where = st.integers(0, 7) | st.integers(0, n_header) | st.integers(0, len(content) - 1)
        for position in data.draw(st.lists(where, max_size=4)):
            content[position] = data.draw(st.integers(0, 255))
        if data.draw(st.booleans()):
            content = content[: data.draw(where)]
        path = sound[2].with_name("damaged")
        path.write_bytes(content)
        loaded = self.load_or_refuse(sound, path)
        if loaded is not None:  # it passed the SHA-256, so only the layout can differ
            np.testing.assert_array_equal(
                loaded.predict_proba(sound[0]), sound[1].predict_proba(sound[0])
            )

    # a forged file may have column names
    @pytest.mark.filterwarnings("ignore:X does not have valid feature names")
    @pytest.mark.parametrize("start", range(0, 300, 100))
    def test_forged_descriptions(self, sound, start):
        values = [None, True, 0, -1, 3, 10**9, 1.5, -math.inf, "", "cpu", "<U9", [], [1, "a"], {}]
        values += [{"float": "nan"}, {"tuple": [3]}, {"dict": [["a", 1]]}, {"a": [None]}]
        for seed in range(start, start + 100):
            rng = random.Random(seed)
            description, tensors = read(sound[2])
            description["history"] = [{"epoch": 1}]
            for _ in range(rng.randint(1, 3)):
                place = description
                while place:
                    keys = list(place) if isinstance(place, dict) else range(len(place))
                    key = rng.choice(keys)
                    if not isinstance(place[key], dict | list) or rng.random() < 0.25:
                        place[key] = copy.deepcopy(rng.choice(values))
                        break
                    place = place[key]
            path = sound[2].with_name("forged")
            write(path, description, tensors)
            self.load_or_refuse(sound, path)
