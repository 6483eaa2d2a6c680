"""Amazon reviews: cache, checksums and downloads, from a local server with small files."""

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
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.svm import LinearSVC

from skdann.datasets import (
    _amazon,
    fetch_amazon_reviews,
)

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "amazon_reviews.npz"


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
