"""Files of every format load in this version, with the predictions of the version that wrote them.

`make_samples.py` wrote them. Damaged copies raise the error of a damaged file.
"""

import json

import numpy as np
import pytest

from skdann import DANNClassifier, DANNClassifierCV, DANNRegressor
from skdann._saving.file import FORMAT
from tests.saving.common import read, write
from tests.saving.make_samples import MAKERS, ROWS, SAMPLES, predict

CLASSES = {"regressor": DANNRegressor, "search": DANNClassifierCV}
FILES = sorted(SAMPLES.glob("*/*.skdann"))
NEWEST = [file for file in FILES if file.parent.name == f"format{FORMAT}"]
each_file = pytest.mark.parametrize("file", NEWEST, ids=lambda file: file.stem)


def load(name, path):
    return CLASSES.get(name, DANNClassifier).load(path)


def assert_refused(name, path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be loaded") as error:
        load(name, path)
    assert str(path) in str(error.value)


def test_every_kind_has_a_sample_of_this_format():
    assert [file.stem for file in NEWEST] == sorted(MAKERS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_predictions_are_those_of_the_version_that_wrote_the_file(file):
    expected = json.loads((file.parent / "predictions.json").read_text())[file.stem]
    actual = predict(load(file.stem, file), ROWS[file.stem])
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)  # rounding of processors


@each_file
def test_truncated_at_any_place(file, path):
    content = file.read_bytes()
    n_header = 8 + int.from_bytes(content[:8], "little")
    places = [0, 1, 7, 8, 9, n_header - 1, n_header, n_header + 1, len(content) - 1]
    for place in [*places, *range(100, len(content), len(content) // 10)]:
        assert_refused(file.stem, path, content[:place])


@each_file
@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_one_flipped_byte(file, path, flip):
    content = file.read_bytes()
    for place in [*range(8), *range(8, len(content), len(content) // 20)]:
        damaged = bytearray(content)
        damaged[place] ^= flip
        assert_refused(file.stem, path, bytes(damaged))


@each_file
@pytest.mark.parametrize("version", [0, FORMAT + 1, str(FORMAT), None])
def test_another_format_is_named(file, path, version):
    description, tensors = read(file)
    write(path, {**description, "format": version}, tensors)
    with pytest.raises(ValueError, match=rf"has format {version!r}, .* reads format {FORMAT}"):
        load(file.stem, path)


@each_file
def test_as_another_class(file):
    with pytest.raises(ValueError, match="call the load method of that class"):
        load("classifier" if file.stem in CLASSES else "regressor", file)
