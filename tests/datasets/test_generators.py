"""Tests of the two-domain generators and of the fetcher of the Amazon reviews."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.linalg import orthogonal_procrustes
from sklearn.datasets import make_moons
from sklearn.svm import LinearSVC

from skdann import datasets
from skdann.datasets import (
    _amazon,
    fetch_amazon_reviews,
    make_covariate_shift,
    make_inter_twinning_moons,
    make_label_shift,
)

GENERATORS = [make_covariate_shift, make_inter_twinning_moons, make_label_shift]
REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "amazon_reviews.npz"

every_generator = pytest.mark.parametrize("make", GENERATORS, ids=lambda make: make.__name__)
seeds = st.integers(0, 2**32 - 1)


# All generators


@every_generator
@given(n_samples=st.integers(2, 60), n_target=st.none() | st.integers(2, 60), seed=seeds)
@settings(max_examples=25, deadline=None)
def test_shapes_and_types(make: Any, n_samples: int, n_target: int | None, seed: int) -> None:
    data = make(n_samples, n_target=n_target, random_state=seed)
    n_target = n_samples if n_target is None else n_target
    assert isinstance(data, tuple)
    shapes = [part.shape for part in data]
    assert shapes == [(n_samples, 2), (n_samples,), (n_target, 2), (n_target,)]
    for X, y in (data[:2], data[2:]):
        assert X.dtype == np.float64
        assert np.isfinite(X).all()
        assert y.dtype.kind == "i"
        assert set(y) <= {0, 1}


@every_generator
@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_equal_seeds_give_equal_bits_and_other_seeds_do_not(make: Any, seed: int) -> None:
    first = make(20, random_state=seed)
    for again in (
        make(20, random_state=seed),
        make(20, random_state=np.random.RandomState(seed)),
    ):
        for one, other in zip(first, again, strict=True):
            assert one.tobytes() == other.tobytes()
    other_seed = make(20, random_state=(seed + 1) % 2**32)
    assert not np.array_equal(first[0], other_seed[0])


@every_generator
@pytest.mark.parametrize("random_state", [None, 3])
def test_global_random_state_is_neither_read_nor_changed(make: Any, random_state: Any) -> None:
    np.random.seed(0)
    before = np.random.get_state()
    first = make(20, random_state=random_state)
    for one, other in zip(before, np.random.get_state(), strict=True):
        assert_array_equal(one, other)
    again = make(20, random_state=random_state)  # from the same global state
    assert np.array_equal(first[0], again[0]) == (random_state is not None)


@every_generator
def test_a_random_state_instance_is_drawn_from(make: Any) -> None:
    rng = np.random.RandomState(0)
    assert not np.array_equal(make(20, random_state=rng)[0], make(20, random_state=rng)[0])


@every_generator
def test_source_and_target_are_different_draws(make: Any) -> None:
    X_source, y_source, X_target, y_target = make(200, random_state=0)
    assert not np.array_equal(y_source, y_target)
    assert not set(X_source.ravel()) & set(X_target.ravel())


@every_generator
def test_source_does_not_depend_on_the_target(make: Any) -> None:
    X_few, y_few, *_ = make(30, n_target=5, random_state=0)
    X_many, y_many, *_ = make(30, n_target=50, random_state=0)
    assert_array_equal(X_few, X_many)
    assert_array_equal(y_few, y_many)


@every_generator
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_samples", 1),
        ("n_samples", 10.0),
        ("n_samples", True),
        ("n_samples", "10"),
        ("n_samples", None),
        ("n_target", 0),
        ("n_target", -5),
        ("n_target", 2.5),
    ],
)
def test_bad_sizes_are_named(make: Any, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name}=.*is not an integer >= 2; pass e.g. {name}="):
        make(**{name: value})


@pytest.mark.parametrize(
    ("make", "name", "value", "expectation"),
    [
        (make_inter_twinning_moons, "rotation", np.nan, "a finite number; pass"),
        (make_inter_twinning_moons, "rotation", np.inf, "a finite number; pass"),
        (make_inter_twinning_moons, "rotation", "35", "a finite number; pass"),
        (make_inter_twinning_moons, "noise", -0.1, "a finite number >= 0; pass"),
        (make_inter_twinning_moons, "noise", None, "a finite number >= 0; pass"),
        (make_covariate_shift, "n_features", 1, "an integer >= 2; pass"),
        (make_covariate_shift, "shift", None, "a finite number; pass"),
        (make_covariate_shift, "flip_y", 1.5, "a finite number >= 0 and <= 1; pass"),
        (make_label_shift, "n_features", 1, "an integer >= 2; pass"),
        (make_label_shift, "class_sep", -1, "a finite number >= 0; pass"),
        (make_label_shift, "source_priors", (0.5, 0.4), "that sum to 1; pass"),
        (make_label_shift, "target_priors", (1.5, -0.5), "numbers >= 0"),
        (make_label_shift, "target_priors", (np.nan, 1.0), "numbers >= 0"),
        (make_label_shift, "target_priors", (1.0,), "two or more"),
        (make_label_shift, "target_priors", 0.5, "a sequence"),
        (make_label_shift, "target_priors", ("a", "b"), "a sequence"),
        (make_label_shift, "target_priors", [[0.5, 0.5]], "a sequence"),
    ],
)
def test_bad_parameters_are_named(make: Any, name: str, value: Any, expectation: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=.* is not .*{expectation}"):
        make(**{name: value})


def test_a_bad_random_state_is_an_error() -> None:
    with pytest.raises(ValueError, match="cannot be used to seed"):
        make_label_shift(random_state="seed")


# Inter-twinning moons


@given(rotation=st.floats(-360, 360), seed=seeds)
@settings(max_examples=25, deadline=None)
def test_rotation_is_counter_clockwise_by_the_given_angle(rotation: float, seed: int) -> None:
    upright = make_inter_twinning_moons(40, rotation=0, random_state=seed)
    turned = make_inter_twinning_moons(40, rotation=rotation, random_state=seed)
    assert_array_equal(turned[0], upright[0])  # the source is not rotated
    assert_array_equal(turned[3], upright[3])
    as_complex = [X @ np.array([1, 1j]) for X in (upright[2], turned[2])]
    assert_allclose(as_complex[1], as_complex[0] * np.exp(1j * np.deg2rad(rotation)), atol=1e-12)


def test_default_rotation_maps_source_onto_target() -> None:
    # Without noise both domains hold the same points of the two arcs, but in another order.
    X_source, y_source, X_target, y_target = make_inter_twinning_moons(noise=0, random_state=0)
    ordered = []
    for X, y, degrees in ((X_source, y_source, 0.0), (X_target, y_target, -35.0)):
        back = X @ np.array([1, 1j]) * np.exp(1j * np.deg2rad(degrees))
        ordered.append(X[np.lexsort((back.real.round(6), y))])
    turn, _ = orthogonal_procrustes(*ordered)
    assert_allclose(ordered[0] @ turn, ordered[1], atol=1e-9)
    assert_allclose(np.rad2deg(np.arctan2(turn[0, 1], turn[0, 0])), 35.0)
    assert_allclose(np.linalg.det(turn), 1.0)


def test_source_is_the_two_moons_centred_and_scaled() -> None:
    X_source, y_source, *_ = make_inter_twinning_moons(100, noise=0, random_state=0)
    assert_allclose(X_source.mean(axis=0), 0, atol=1e-12)
    assert_array_equal(np.bincount(y_source), [50, 50])
    X_moons, y_moons = make_moons(100, noise=0)
    expected = 2 * (X_moons - X_moons.mean(axis=0))
    for label in (0, 1):
        moon, arc = X_source[y_source == label], expected[y_moons == label]
        assert_allclose(moon[moon[:, 0].argsort()], arc[arc[:, 0].argsort()], atol=1e-12)


def test_target_is_centred_by_the_mean_of_the_source() -> None:
    # The 5 rows are among the 102, at the ends and middle of the arcs, but have another mean.
    data = make_inter_twinning_moons(102, n_target=5, rotation=0, noise=0, random_state=0)
    X_source, X_target = data[0], data[2]
    nearest = np.linalg.norm(X_target[:, None] - X_source, axis=2).min(axis=1)
    assert_allclose(nearest, 0, atol=1e-12)


def test_noise_is_the_standard_deviation_before_scaling() -> None:
    smooth = make_inter_twinning_moons(4000, noise=0, random_state=0)[0]
    noisy = make_inter_twinning_moons(4000, noise=0.3, random_state=0)[0]
    assert_allclose((noisy - smooth).std(), 2 * 0.3, rtol=0.05)


# Covariate shift


def test_both_domains_follow_the_same_labelling_rule() -> None:
    X_source, y_source, X_target, y_target = make_covariate_shift(400, shift=3, random_state=0)
    for X, y in ((X_source, y_source), (X_target, y_target)):
        assert_array_equal(y, X[:, 1] > np.sin(X[:, 0]))
        assert set(y) == {0, 1}


def test_flip_y_flips_that_share_of_labels_in_both_domains() -> None:
    X_source, y_source, X_target, y_target = make_covariate_shift(8000, flip_y=0.2, random_state=0)
    for X, y in ((X_source, y_source), (X_target, y_target)):
        is_flipped = y != (X[:, 1] > np.sin(X[:, 0]))
        assert_allclose(is_flipped.mean(), 0.2, atol=0.02)
        assert_allclose(is_flipped[X[:, 0] > 1].mean(), 0.2, atol=0.04)  # whatever x is


@pytest.mark.parametrize("flip_y", [0, 1])
def test_flip_y_bounds_are_exact(flip_y: int) -> None:
    X, y, *_ = make_covariate_shift(300, flip_y=flip_y, random_state=0)
    assert_array_equal(y, (X[:, 1] > np.sin(X[:, 0])) ^ bool(flip_y))


def test_only_the_first_feature_is_shifted() -> None:
    X_source, _, X_target, _ = make_covariate_shift(8000, n_features=4, shift=-1.5, random_state=0)
    assert_allclose(X_source.mean(axis=0), 0, atol=0.05)
    assert_allclose(X_target.mean(axis=0), [-1.5, 0, 0, 0], atol=0.05)
    for X in (X_source, X_target):
        assert_allclose(np.cov(X.T), np.eye(4), atol=0.06)


def test_stated_density_ratio_turns_source_into_target() -> None:
    shift = 1.0
    X_source, y_source, X_target, y_target = make_covariate_shift(
        50_000, shift=shift, random_state=0
    )
    weight = np.exp(shift * X_source[:, 0] - shift**2 / 2)
    assert_allclose(weight.mean(), 1, atol=0.03)
    assert_allclose(np.average(y_source, weights=weight), y_target.mean(), atol=0.02)
    assert abs(y_source.mean() - y_target.mean()) > 0.1  # so that the line above can fail
    assert_allclose(np.average(X_source[:, 0], weights=weight), X_target[:, 0].mean(), atol=0.05)


# Label shift


@st.composite
def two_priors(draw: Any) -> tuple[list[float], list[float]]:
    n_classes = draw(st.integers(2, 6))
    shares = st.lists(st.integers(0, 9), min_size=n_classes, max_size=n_classes).filter(any)
    source, target = (np.array(draw(shares), dtype=float) for _ in range(2))
    return list(source / source.sum()), list(target / target.sum())


@given(priors=two_priors(), n_samples=st.integers(2, 97), n_target=st.integers(2, 97))
@settings(max_examples=60, deadline=None)
def test_counts_are_the_priors_to_within_one_row(
    priors: tuple[list[float], list[float]], n_samples: int, n_target: int
) -> None:
    p_source, p_target = priors
    _, y_source, _, y_target = make_label_shift(
        n_samples, n_target=n_target, source_priors=p_source, target_priors=p_target, random_state=0
    )
    for y, prior, n_rows in ((y_source, p_source, n_samples), (y_target, p_target, n_target)):
        counts = np.bincount(y, minlength=len(prior))
        assert len(y) == n_rows
        assert (np.abs(counts - n_rows * np.array(prior)) < 1).all()
        assert not counts[np.array(prior) == 0].any()


def test_default_priors() -> None:
    _, y_source, _, y_target = make_label_shift(random_state=0)
    assert_array_equal(np.bincount(y_source), [250, 250])
    assert_array_equal(np.bincount(y_target), [100, 400])


def test_rows_are_shuffled() -> None:
    _, y_source, *_ = make_label_shift(random_state=0)
    assert (np.diff(y_source) != 0).sum() > 100


def test_classes_have_the_same_distribution_in_both_domains() -> None:
    priors = {"source_priors": (0.6, 0.2, 0.2), "target_priors": (0.2, 0.2, 0.6)}
    X_source, y_source, X_target, y_target = make_label_shift(
        30_000, n_features=3, class_sep=2.5, random_state=0, **priors
    )
    means = []
    for X, y in ((X_source, y_source), (X_target, y_target)):
        means.append(np.array([X[y == label].mean(axis=0) for label in range(3)]))
        for label in range(3):
            assert_allclose(np.cov(X[y == label].T), np.eye(3), atol=0.07)
    assert_allclose(means[0], means[1], atol=0.06)
    gaps = np.linalg.norm(means[0] - np.roll(means[0], 1, axis=0), axis=1)
    assert_allclose(gaps, 2.5, atol=0.06)
    assert_allclose(means[0][:, 2], 0, atol=0.06)


def test_class_sep_is_kept_for_two_classes() -> None:
    X, y, *_ = make_label_shift(20_000, class_sep=3, random_state=0)
    gap = np.linalg.norm(X[y == 0].mean(axis=0) - X[y == 1].mean(axis=0))
    assert_allclose(gap, 3, atol=0.06)


def test_priors_of_different_lengths_are_an_error() -> None:
    with pytest.raises(ValueError, match="source_priors has 2 classes but target_priors has 3;"):
        make_label_shift(target_priors=(0.2, 0.3, 0.5))


# Amazon reviews, from a local server with small files


def make_file(domain: str, split: str) -> bytes:
    """Return a small svmlight file whose counts identify the domain and the split."""
    code = 10 * _amazon._AMAZON_DOMAINS.index(domain) + (split == "test")
    rows = [f"1 0:{code + 1} 4999:1\n", f"-1 {code}:7\n", "1 \n"]
    return "".join(rows[: 3 if split == "test" else 2]).encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Serve small files, whose checksums replace the real ones, and record every request."""
    names = [(d, s) for d in _amazon._AMAZON_DOMAINS for s in ("train", "test")]
    state = SimpleNamespace(
        requests=[], failures=0, content={f"{d}_{s}": make_file(d, s) for d, s in names}
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(self.path)
            status = 200
            if state.failures:
                state.failures -= 1
                status = 503
            body = state.content[self.path.split("/")[-1].removesuffix(".svmlight")]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Log nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{httpd.server_port}"
    sums = {k: (f"c-{k}", hashlib.sha256(v).hexdigest()) for k, v in state.content.items()}
    monkeypatch.setattr(_amazon, "_AMAZON_URL", state.url + "/{commit}/{file}")
    monkeypatch.setattr(_amazon, "_AMAZON_FILES", sums)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield state
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def cache_of(data_home: Path) -> Path:
    return data_home / "skdann" / "amazon_reviews"


def fetch(data_home: Path, **options: Any) -> Any:
    return fetch_amazon_reviews(data_home=data_home, **{"delay": 0, "n_retries": 0, **options})


def test_all_data(server: SimpleNamespace, tmp_path: Path) -> None:
    bunch = fetch(tmp_path)
    assert sparse.issparse(bunch.data)
    assert bunch.data.format == "csr"
    assert bunch.data.dtype == np.float64
    assert bunch.data.shape == (20, 5000)
    assert_array_equal(bunch.target, [1, -1, 1, -1, 1] * 4)
    assert bunch.target.dtype == np.int64
    assert_array_equal(bunch.domain, np.repeat(["books", "dvd", "electronics", "kitchen"], 5))
    assert_array_equal(bunch.split, ["train", "train", "test", "test", "test"] * 4)
    first_column = np.ravel(bunch.data[:, [0]].toarray())
    assert_array_equal(first_column[::5], [1, 11, 21, 31])  # zero-based, domain by domain
    assert bunch.data[0, 4999] == 1
    assert bunch.target_names == ["negative", "positive"]
    assert "27,677" in bunch.DESCR
    files = {path.name for path in cache_of(tmp_path).iterdir()}
    assert files == {f"{name}.svmlight" for name in server.content}  # and nothing else
    assert len(server.requests) == 8
    assert server.requests[0] == "/c-books_train/books_train.svmlight"


def test_one_task_fetches_its_three_files_only(server: SimpleNamespace, tmp_path: Path) -> None:
    task = fetch(tmp_path, source="dvd", target="kitchen")
    assert sorted(path.split("/")[-1] for path in server.requests) == [
        "dvd_train.svmlight",
        "kitchen_test.svmlight",
        "kitchen_train.svmlight",
    ]
    assert "y_target" not in task  # so that nobody fits on it by mistake
    everything = fetch(tmp_path)
    is_train = everything.split == "train"
    in_source, in_target = everything.domain == "dvd", everything.domain == "kitchen"
    for block, rows in (
        (task.X_source, in_source & is_train),
        (task.X_target, in_target & is_train),
        (task.X_target_test, in_target & ~is_train),
    ):
        assert_array_equal(block.toarray(), everything.data[rows].toarray())
    assert_array_equal(task.y_source, everything.target[in_source & is_train])
    assert_array_equal(task.y_target_test, everything.target[in_target & ~is_train])


def test_indices_suit_every_estimator(server: SimpleNamespace, tmp_path: Path) -> None:
    task = fetch(tmp_path, source="books", target="dvd")
    for X in (fetch(tmp_path).data, task.X_source, task.X_target, task.X_target_test):
        assert X.indices.dtype == X.indptr.dtype == np.int32
    LinearSVC().fit(task.X_source, task.y_source)  # refuses 64-bit indices


def test_tuples_instead_of_a_bunch(server: SimpleNamespace, tmp_path: Path) -> None:
    bunch = fetch(tmp_path)
    data, target = fetch(tmp_path, return_X_y=True)
    assert_array_equal(data.toarray(), bunch.data.toarray())
    assert_array_equal(target, bunch.target)
    names = ["X_source", "y_source", "X_target", "X_target_test", "y_target_test"]
    task = fetch(tmp_path, source="books", target="dvd")
    arrays = fetch(tmp_path, source="books", target="dvd", return_X_y=True)
    for name, array in zip(names, arrays, strict=True):
        expected = task[name]
        if sparse.issparse(expected):
            array, expected = array.toarray(), expected.toarray()
        assert_array_equal(array, expected)


def test_cache_needs_no_network(server: SimpleNamespace, tmp_path: Path) -> None:
    first = fetch(tmp_path)
    n_requests = len(server.requests)
    again = fetch(tmp_path)
    offline = fetch(tmp_path, download_if_missing=False)
    assert len(server.requests) == n_requests == 8
    for bunch in (again, offline):
        assert_array_equal(bunch.data.toarray(), first.data.toarray())


def test_the_variable_scikit_learn_data_is_respected(
    server: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "elsewhere"))
    fetch_amazon_reviews(source="books", target="dvd")
    assert (cache_of(tmp_path / "elsewhere") / "books_train.svmlight").is_file()


def test_wrong_checksum_leaves_no_file(server: SimpleNamespace, tmp_path: Path) -> None:
    expected = _amazon._AMAZON_FILES["dvd_train"][1]
    server.content["dvd_train"] += b"1 0:1\n"
    checksum = hashlib.sha256(server.content["dvd_train"]).hexdigest()
    with pytest.raises(OSError, match=f"dvd_train.*{checksum} instead of {expected}.*try again"):
        fetch(tmp_path, source="books", target="dvd")
    assert [path.name for path in cache_of(tmp_path).iterdir()] == ["books_train.svmlight"]


def test_damaged_cache_is_downloaded_again(server: SimpleNamespace, tmp_path: Path) -> None:
    first = fetch(tmp_path)
    path = cache_of(tmp_path) / "kitchen_test.svmlight"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(OSError, match=r"kitchen_test.svmlight is damaged .*set it to True"):
        fetch(tmp_path, download_if_missing=False)
    del server.requests[:]
    assert_array_equal(fetch(tmp_path).data.toarray(), first.data.toarray())
    assert server.requests == ["/c-kitchen_test/kitchen_test.svmlight"]
    assert path.read_bytes() == server.content["kitchen_test"]


def test_damaged_cache_survives_a_failed_download(server: SimpleNamespace, tmp_path: Path) -> None:
    fetch(tmp_path)
    path = cache_of(tmp_path) / "books_train.svmlight"
    path.write_bytes(b"edited by hand")
    server.failures = 1
    with pytest.raises(OSError, match="Could not download"):
        fetch(tmp_path)
    assert path.read_bytes() == b"edited by hand"


def test_a_missing_file_may_not_be_downloaded(server: SimpleNamespace, tmp_path: Path) -> None:
    match = rf"books_train.svmlight is missing .*set it to True, or copy .* from {server.url}/"
    with pytest.raises(OSError, match=match):
        fetch(tmp_path, download_if_missing=False)
    assert not server.requests


def test_offline_error_names_address_cause_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(_amazon, "urlopen", refuse)
    with pytest.raises(OSError, match="Could not download") as info:
        fetch(tmp_path)
    text = str(info.value)
    commit, _ = _amazon._AMAZON_FILES["books_train"]
    assert f"{commit}/data/books_train.svmlight" in text
    assert text.count("https://raw.githubusercontent.com/") == 1
    assert "no route to host" in text
    assert str(cache_of(tmp_path)) in text
    assert all(f"{name}.svmlight" in text for name in _amazon._AMAZON_FILES)
    assert not cache_of(tmp_path).exists()


def test_every_request_has_a_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timeouts = []

    def refuse(url: str, timeout: float | None = None) -> None:
        timeouts.append(timeout)
        raise TimeoutError("too slow")

    monkeypatch.setattr(_amazon, "urlopen", refuse)
    with pytest.raises(OSError, match="too slow"):
        fetch(tmp_path, n_retries=2)
    assert timeouts == [30.0] * 3


def test_failed_attempts_are_repeated_after_a_delay(
    server: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []
    monkeypatch.setattr(_amazon.time, "sleep", naps.append)
    server.failures = 2
    fetch(tmp_path, source="books", target="dvd", n_retries=2, delay=1.5)
    assert naps == [1.5, 1.5]
    assert len(server.requests) == 5


def test_too_many_failures_are_an_error(server: SimpleNamespace, tmp_path: Path) -> None:
    server.failures = 3
    with pytest.raises(OSError, match="503"):
        fetch(tmp_path, n_retries=2)
    assert len(server.requests) == 3


def test_an_interrupted_write_leaves_nothing(
    server: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path)
    assert list(cache_of(tmp_path).iterdir()) == []


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            {"source": "book", "target": "dvd"},
            "source='book' is not a domain; pass one of .*'books'",
        ),
        ({"source": "books", "target": "toys"}, "target='toys' is not a domain"),
        ({"source": "books"}, "source='books' and target=None do not form a task"),
        ({"target": "books"}, "source=None and target='books' do not form a task"),
        ({"source": "dvd", "target": "dvd"}, "do not form a task; pass two different"),
        ({"n_retries": -1}, "n_retries=-1 is not an integer >= 0"),
        ({"delay": -1}, "delay=-1 is not a finite number >= 0"),
    ],
)
def test_bad_fetch_parameters_are_named(
    server: SimpleNamespace, tmp_path: Path, options: dict[str, Any], match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        fetch(tmp_path, **options)
    assert not server.requests


def test_the_table_of_files_is_complete() -> None:
    names = {f"{d}_{s}" for d in _amazon._AMAZON_DOMAINS for s in ("train", "test")}
    assert set(_amazon._AMAZON_FILES) == names
    for commit, checksum in _amazon._AMAZON_FILES.values():
        assert (len(commit), len(checksum)) == (40, 64)
        int(commit, 16), int(checksum, 16)
    assert len({checksum for _, checksum in _amazon._AMAZON_FILES.values()}) == 8
    assert _amazon._AMAZON_URL.startswith("https://")


@pytest.mark.skipif(not REAL_DATA.is_file(), reason="needs ../shared/data/amazon_reviews.npz")
def test_rebuilt_real_files_pass_the_checksums(tmp_path: Path) -> None:
    with np.load(REAL_DATA) as z:
        parts = {name: z[name] for name in z.files}
    counts, columns, starts = (parts[name] for name in ("data", "indices", "indptr"))
    cache_of(tmp_path).mkdir(parents=True)
    for name in _amazon._AMAZON_FILES:
        domain, split = name.split("_")
        lines = []
        for row in np.flatnonzero((parts["domain"] == domain) & (parts["split"] == split)):
            cells = slice(starts[row], starts[row + 1])
            pairs = zip(columns[cells].tolist(), counts[cells].tolist(), strict=True)
            entries = " ".join(f"{column}:{count:.0f}" for column, count in pairs)
            lines.append(f"{parts['y'][row]} {entries}\n")
        (cache_of(tmp_path) / f"{name}.svmlight").write_bytes("".join(lines).encode())

    bunch = fetch(tmp_path, download_if_missing=False)
    X = sparse.csr_matrix(
        (counts, columns.astype(np.int32), starts), shape=tuple(parts["shape"]), dtype=np.float64
    )
    assert bunch.data.shape == (27677, 5000)
    assert (bunch.data != X).nnz == 0
    assert_array_equal(bunch.target, parts["y"])
    assert_array_equal(bunch.domain, parts["domain"])
    assert_array_equal(bunch.split, parts["split"])
    task = fetch(tmp_path, source="books", target="dvd", download_if_missing=False)
    assert task.X_source.shape == task.X_target.shape == (2000, 5000)
    assert task.X_target_test.shape == (3586, 5000)


def test_all_is_sorted_and_complete() -> None:
    public = [
        name
        for name, value in vars(datasets).items()
        if getattr(value, "__module__", "").startswith(datasets.__name__)
        and not name.startswith("_")
    ]
    assert datasets.__all__ == sorted(public)
