"""Training over processes: equal to one process with all rows, or an error in all of them."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import BatchScoring, EpochScoring
from torch import distributed as dist

from skdann import DANNClassifier, DANNClassifierCV, make_pipeline
from skdann._training.distributed import Ranks, _join, gather_rows, joined
from skdann.nn._members import MemberDropout, Rows
from tests.training.ranks import CLOSE, SETTINGS, data, fit_one
from tests.training.test_batches import assert_same_batches, labelled, make_batches, make_rows

ROOT = Path(__file__).parents[2]


def start(case: str, folder: Path, size: int = 2) -> list[Any]:
    """Run a case in processes of their own; return what each wrote, None if it was killed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.training.ranks", case]
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(size), str(folder)],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
        )
        for rank in range(size)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=100)
        assert process.returncode in (0, -9), errors.decode()
    paths = [folder / f"{case}.{size}.{rank}" for rank in range(size)]
    return [pickle.loads(path.read_bytes()) if path.exists() else None for path in paths]


@pytest.fixture
def group(tmp_path):
    """A group with this process alone."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/s", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    return [*start("all", folder), *start("all", folder, size=1)]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SETTINGS, "frames", "chunks", "regressor", "search"])
def test_two_processes_equal_one_with_all_rows(results, name):
    first, second, alone = (each[name] for each in results)
    assert_array_equal(first[0], second[0])
    assert first[1] == second[1]
    assert_allclose(first[0], alone[0], rtol=1e-4, atol=CLOSE.get(name, 1e-5))
    if name == "search":
        assert first[1] == alone[1]
        return
    assert len(first[1]) == len(alone[1])
    for row, expected in zip(first[1], alone[1], strict=True):
        assert row == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "kind", "text"),
    [
        ("masked", "ValueError", "process 1: X_source is a masked array"),
        ("lr", "ValueError", "parameters of the estimator differ"),
        ("invalid", "(ValueError|InvalidParameterError)", "'lr' parameter of DANNClassifier must"),
        ("kinds", "ValueError", "numbers in some processes and no numbers in others"),
        ("columns", "ValueError", r"X_source has other columns in some processes \(shapes"),
        ("labels", "ValueError", "process 1: y_source has 110 values but X_source has 111"),
    ],
)
def test_a_fault_of_one_process_is_an_error_in_all(tmp_path, case, kind, text):
    for found, message in start(case, tmp_path):
        assert re.fullmatch(kind, found)
        assert re.search(text, message)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "own"),
    [("kill", None), ("raise", "ZeroDivisionError"), ("interrupt", "KeyboardInterrupt")],
)
def test_a_process_that_ends_ends_the_others(tmp_path, case, own):
    first, second = start(case, tmp_path)
    assert (second and second[0]) == own
    assert first[0] == "RuntimeError"
    assert "The fit cannot go on in process 0 of 2" in first[1]
    assert "another process has failed or ended" in first[1]
    assert "start all processes again" in first[1]


@pytest.mark.slow
def test_killed_processes_resume_from_the_checkpoint_of_the_first(tmp_path):
    assert start("checkpoint", tmp_path)[1] is None
    assert (tmp_path / "fit.ckpt").exists()
    resumed = start("resume", tmp_path)
    assert not (tmp_path / "fit.ckpt").exists()
    (other := tmp_path / "other").mkdir()
    whole = start("whole", other)
    for each in resumed:
        assert each[1] == 4
        assert_array_equal(each[0], whole[0][0])


@pytest.mark.slow
def test_the_script_of_the_guide_runs_under_torchrun(tmp_path):
    page = (ROOT / "docs" / "guide" / "distributed.md").read_text(encoding="utf-8")
    code = re.search(r"```{code-block} python\n(.*?)```", page, re.DOTALL)[1]
    small = code.replace("10_000", "200").replace("(1024, 1024)", "(8,)").replace("4096", "64")
    (tmp_path / "train.py").write_text(small, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, "--standalone", "train.py"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    clf = DANNClassifier.load(tmp_path / "model.skdann")
    assert not clf.distributed
    assert clf.predict_proba([[0.0, 0.0]]).shape == (1, 2)


@pytest.mark.usefixtures("group")
@pytest.mark.filterwarnings("ignore")
def test_a_group_of_one_equals_no_group():
    X, y, X_target, _ = data()
    for name in ("default", "dropout", "batch", "alternating", "train"):
        params = {**SETTINGS[name], "max_epochs": 2, "random_state": 0}
        alone = DANNClassifier(**params).fit(X, y, X_target)
        grouped = DANNClassifier(**params, distributed=True).fit(X, y, X_target)
        assert_allclose(grouped.predict_proba(X), alone.predict_proba(X), atol=1e-5)
        assert [row["domain_loss"] for row in grouped.history_] == pytest.approx(
            [row["domain_loss"] for row in alone.history_]
        )


@pytest.mark.usefixtures("group")
@pytest.mark.filterwarnings("ignore")
def test_a_search_of_a_group_of_one_equals_no_group():
    X, y, X_target, _ = data()
    params: dict[str, Any] = {"max_epochs": 2}
    search = DANNClassifierCV(DANNClassifier(**params), n_seeds=1, random_state=0)
    alone = search.fit(X, y, X_target).predict_proba(X)
    grouped = search.set_params(estimator__distributed=True).fit(X, y, X_target)
    assert_allclose(grouped.predict_proba(X), alone, atol=1e-5)
    with pytest.raises(ValueError, match="n_jobs=2 starts processes of its own"):
        search.set_params(n_jobs=2).fit(X, y, X_target)


@pytest.mark.usefixtures("group")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("case", "error"), [("raise", ZeroDivisionError), ("interrupt", KeyboardInterrupt)]
)
def test_a_fault_leaves_no_group_behind(monkeypatch, tmp_path, case, error):
    monkeypatch.setattr("tests.training.ranks.share", lambda rank, size: (slice(None), slice(None)))
    before = len(dist.distributed_c10d._world.pg_map)
    found, _ = fit_one(case, 1, 2, tmp_path)
    assert found == error.__name__
    assert len(dist.distributed_c10d._world.pg_map) == before


@pytest.mark.usefixtures("group")
@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_is_written_and_read_by_the_first_process(tmp_path):
    X, y, X_target, _ = data()
    path = tmp_path / "fit.ckpt"
    params: dict[str, Any] = {"max_epochs": 4, "random_state": 0, "distributed": True}
    whole = DANNClassifier(**params).fit(X, y, X_target)
    found, _ = fit_one("checkpoint", 0, 2, tmp_path)
    assert not path.exists()
    assert len(found) == len(X_target)
    stopped = DANNClassifier(**params, checkpoint=path, callbacks=[_stop_at(3)])
    with pytest.raises(ZeroDivisionError):
        stopped.fit(X, y, X_target)
    assert path.exists()
    resumed = stopped.set_params(callbacks=[_stop_at(99)]).fit(X, y, X_target)
    assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))


def _stop_at(epoch):
    from tests.training.ranks import Fail

    return Fail("raise", epoch)


def test_a_group_is_required():
    X, y, X_target, _ = data()
    clf = DANNClassifier(distributed=True, random_state=0)
    for estimator in (clf, DANNClassifierCV(clf, random_state=0)):
        with pytest.raises(ValueError, match=r"needs a group of processes; start .*torchrun"):
            estimator.fit(X, y, X_target)


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"random_state": None}, "same random_state in all processes, got None"),
        ({"random_state": np.random.RandomState(0)}, "set random_state to an integer"),
        ({"callbacks": [BatchScoring("accuracy")]}, "callbacks has BatchScoring, which looks at"),
        ({"callbacks": [("s", EpochScoring("accuracy"))]}, "which looks at batches"),
        ({"adversarial": "coral"}, "adversarial='coral' compares all rows of a batch"),
        ({"feature_extractor": torch.nn.Linear}, "feature_extractor is a module"),
    ],
)
def test_what_needs_whole_batches_or_one_process_is_refused(params, text):
    X, y, X_target, _ = data()
    with pytest.raises(ValueError, match=text):
        DANNClassifier(**{"random_state": 0, "distributed": True, **params}).fit(X, y, X_target)


# Parts of batches


def ranks_of(size):
    """Processes that compute parts, without a group."""
    made = []
    for rank in range(size):
        ranks = Ranks.__new__(Ranks)
        ranks.rank, ranks.size = rank, size
        made.append(ranks)
    return made


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
@pytest.mark.parametrize("size", [1, 2, 3, 9])
@pytest.mark.parametrize("kinds", [None, ("train", "train"), (None, "train")])
def test_the_parts_of_a_batch_are_the_batch(seeds, size, kinds):
    rows = make_rows([9, 4], [6, 8])
    batches = make_batches(rows, 5, seeds=seeds)
    if kinds is not None and len(seeds) == 2:
        batches = labelled(rows, kinds)
    for batch in list(batches.epoch()):
        parts = [ranks.part(batch) for ranks in ranks_of(size)]
        chosen = torch.cat([part.rows.part.chosen for part in parts])
        assert sorted(chosen.tolist()) == list(range(batch.domain.shape[-1]))
        assert sum(part.rows.n_source for part in parts) == batch.rows.n_source
        assert sum(part.n_labelled for part in parts) == batch.n_labelled
        order = chosen.argsort()
        for name in ("x", "domain", "domain_weight"):
            dim = -2 if name == "x" else -1
            joined_up = torch.cat([getattr(part, name) for part in parts], dim)
            assert_array_equal(joined_up.index_select(dim, order), getattr(batch, name))
        first = torch.cat([part.labelled.part.chosen for part in parts]).argsort()
        for name in ("y", "label_weight"):
            joined_up = torch.cat([getattr(part, name) for part in parts], -1)
            assert_array_equal(joined_up[..., first], getattr(batch, name))


def test_parts_of_sparse_rows():
    rows = make_rows([9], [6])
    batches = make_batches(rows, 5, X=sp.csr_array(rows.X), seeds=(0, 1))
    for batch in batches.epoch(stays_sparse=True):
        parts = [ranks.part(batch) for ranks in ranks_of(2)]
        for member in range(2):
            both = np.vstack([part.x[member].toarray() for part in parts])
            order = np.argsort(np.concatenate([part.rows.part.chosen for part in parts]))
            assert_array_equal(both[order], batch.x[member].toarray())


def test_a_group_of_one_computes_whole_batches():
    rows, (ranks,) = make_rows([9], [6]), ranks_of(1)
    for batch in make_batches(rows, 5).epoch():
        assert_same_batches([ranks.part(batch)], [batch])


@pytest.mark.parametrize("size", [2, 3])
def test_dropout_masks_of_the_parts_are_those_of_the_batch(size):
    rows = make_rows([9], [6])
    (batch,) = make_batches(rows, 9).epoch()
    x = torch.ones(batch.domain.shape[-1], 5)

    def layer():
        return MemberDropout(
            0.5, [torch.Generator().manual_seed(0)], [torch.Generator().manual_seed(1)]
        )

    whole = layer().draw_mask(x, batch.rows)
    for ranks in ranks_of(size):
        part = ranks.part(batch)
        chosen = part.rows.part.chosen
        assert_array_equal(layer().draw_mask(x[chosen], part.rows), whole[chosen])
        own = part.labelled
        n_own = own.domain.shape[-1]
        mask = layer().draw_mask(x[:n_own], own)
        assert_array_equal(mask, whole[: batch.n_labelled][own.part.chosen])
        source = part.rows.of_source()
        assert_array_equal(layer().draw_mask(x[: source.n_source], source), mask)


def test_whole_rows_have_no_part():
    assert Rows(2).part is None
    assert Rows(2, torch.zeros(3)).of_source().part is None


# Rows of all processes


FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([np.ones((2, 3)), np.zeros((1, 3))], [[1, 1, 1], [1, 1, 1], [0, 0, 0]]),
        ([np.array(["a"]), np.array(["bcd"])], ["a", "bcd"]),
        ([np.array([1, 2]), np.array([])], [1, 2]),
        ([FRAME, FRAME[:0], FRAME[:1]], [[1, 3], [2, 4], [1, 3]]),
        ([FRAME["a"], FRAME["a"]], [1, 2, 1, 2]),
        ([sp.csr_array(np.eye(2)), sp.csr_array((0, 2))], [[1, 0], [0, 1]]),
    ],
)
def test_parts_are_put_below_one_another(parts, expected):
    found = _join(parts, "X")
    assert type(found) is type(parts[0])
    assert getattr(found, "dtype", None) == getattr(parts[0], "dtype", None) or found.dtype == "<U3"
    assert_array_equal(found.toarray() if sp.issparse(found) else found, expected)


def test_parts_of_several_targets():
    assert _join([None, None], "X") is None
    first, second = _join([(np.ones(1), np.zeros(2)), (np.ones(3), np.zeros(0))], "X_target")
    assert_array_equal(first, np.ones(4))
    assert_array_equal(second, np.zeros(2))


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([None, np.ones(2)], r"not of the same type in all processes \(NoneType, ndarray\)"),
        ([(np.ones(1),), (np.ones(1), np.ones(1))], "different number of targets"),
        ([FRAME, FRAME[["b", "a"]]], "other columns in some processes"),
        ([np.ones((2, 3)), np.ones((2, 2))], r"shapes \(2, 3\), \(2, 2\)"),
        ([np.ones(2), np.array(["a"])], r"no numbers in others \(float64, <U1\)"),
    ],
)
def test_parts_that_do_not_match_are_refused(parts, text):
    with pytest.raises(ValueError, match=f"X_target .*{text}"):
        _join(parts, "X_target")


@pytest.mark.usefixtures("group")
def test_frames_without_a_way_to_join_them_are_refused():
    clf = DANNClassifier(distributed=True, random_state=0)
    with pytest.raises(TypeError, match=r"process 0: X_source is a DataFrame, .* pandas, an array"):
        gather_rows(clf, X_source=pl.DataFrame({"a": [1.0]}))


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("name", ["y_source", "sample_weight", "sample_domain"])
def test_each_process_needs_a_label_a_weight_and_a_domain_for_each_row(name):
    clf, X = DANNClassifier(distributed=True, random_state=0), np.ones((3, 2))
    with pytest.raises(ValueError, match=f"process 0: {name} has 2 values but X_source has 3 rows"):
        gather_rows(clf, X_source=X, **{name: np.ones(2)})
    with pytest.raises(ValueError, match="y_target has 2 values but X_target has 3 rows"):
        gather_rows(clf, X_source=X, X_target=X, y_target=np.ones(2))


@pytest.mark.usefixtures("group")
def test_an_error_that_is_kept_holds_no_group():
    with joined(is_distributed=True) as ranks:
        assert ranks.group is not None
    assert ranks.group is None


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("labels", [pd.Categorical([0, 1]), pd.Index([0, 1]), pd.Series([0, 1])])
def test_labels_of_pandas_are_joined(labels):
    clf = DANNClassifier(distributed=True, random_state=0)
    (found,) = gather_rows(clf, y_source=labels)
    assert list(found) == [0, 1]


def test_rows_are_left_as_they_are_in_one_process():
    X = object()
    assert gather_rows(DANNClassifier(), X_source=X, y_source=None) == [X, None]
    with joined(is_distributed=False) as ranks:
        assert ranks is None


@pytest.mark.usefixtures("group")
def test_errors_of_the_group_say_what_to_do():
    def fail(**kwargs):
        raise RuntimeError("Connection closed by peer\nmore")

    with joined(is_distributed=True) as ranks:
        assert ranks.is_first
        with pytest.raises(RuntimeError, match=r"process 0 of 1, .* \(Connection closed by peer\)"):
            ranks.call(fail)


@pytest.mark.usefixtures("group")
def test_errors_of_this_process_are_left_as_they_are():
    def fail():
        with joined(is_distributed=True):
            raise RuntimeError("my own fault")

    with pytest.raises(RuntimeError, match=r"^my own fault$"):
        fail()


@pytest.mark.usefixtures("group")
def test_a_pipeline_with_other_steps_is_refused():
    X, y, X_target, _ = data()
    clf = DANNClassifier(distributed=True, random_state=0, max_epochs=1)
    for last in (clf, DANNClassifierCV(clf, random_state=0)):
        pipe = make_pipeline(StandardScaler(), last)
        with pytest.raises(ValueError, match="would fit the other steps on its own rows alone"):
            pipe.fit(X, y, X_target=X_target)
    make_pipeline("passthrough", clf).fit(X, y, X_target=X_target)


@pytest.mark.usefixtures("group")
def test_invalid_parameters_are_told_to_the_others():
    X, y, X_target, _ = data()
    clf = DANNClassifier(distributed=True, random_state=0, lr=-1.0)
    for estimator in (clf, DANNClassifierCV(clf, random_state=0)):
        with pytest.raises(ValueError, match="'lr' parameter of DANNClassifier must be"):
            estimator.fit(X, y, X_target)


@pytest.mark.usefixtures("group")
def test_sums_carry_gradients():
    with joined(is_distributed=True) as ranks:
        values = torch.ones(3, requires_grad=True)
        (2 * ranks.add(values)).sum().backward()
        assert values.grad.tolist() == [2.0, 2.0, 2.0]
        plain = torch.ones(2)
        assert ranks.add(plain) is not plain
        assert ranks.add_figures({"a": 1.5, "b": 2}) == {"a": 1.5, "b": 2}
        assert ranks.of_first(lambda: "x") == "x"
        weights = torch.nn.Parameter(torch.ones(2, 2))
        frozen = SimpleNamespace(grad=None)
        weights.grad = torch.full((2, 2), 3.0)
        ranks.add_gradients(SimpleNamespace(param_groups=[{"params": [weights, frozen]}]))
        assert_array_equal(weights.grad, torch.full((2, 2), 3.0))
