"""Tests of the domain-balanced batches: rows and weights of each step and each epoch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdann import DANNClassifier
from skdann._training import batches as _batches
from skdann._training.batches import DomainBatches
from skdann.nn._standardizer import DomainStandardizer

sizes = st.integers(1, 23)
any_batch_size = st.integers(1, 30)
quickly = settings(deadline=None, max_examples=60)


class Rows(NamedTuple):
    """Rows with their index in the first column and their domain in the second."""

    X: np.ndarray
    y: np.ndarray
    domain: np.ndarray
    n_domains: int
    n_targets: int


def make_rows(source_sizes, target_sizes):
    n_source, n_rows = sum(source_sizes), sum(source_sizes) + sum(target_sizes)
    domain = np.repeat(
        np.arange(len(source_sizes) + len(target_sizes)), [*source_sizes, *target_sizes]
    )
    domain[:n_source] = np.random.default_rng(0).permutation(domain[:n_source])
    X = np.stack([np.arange(n_rows), domain, np.sin(np.arange(n_rows))], axis=1)
    y = np.arange(n_source) % 3
    return Rows(
        X.astype(np.float32), y, domain, len(source_sizes) + len(target_sizes), len(target_sizes)
    )


def generators(seed=0):
    return {
        name: torch.Generator().manual_seed(10 * seed + i)
        for i, name in enumerate(("source_order", "target_order"))
    }


def make_batches(rows, batch_size, *, seeds=(0,), **changed):
    options = {
        "source_rows": np.arange(len(rows.y)),
        "sample_weight": None,
        "class_weight": None,
        "X": rows.X,
        **changed,
    }
    return DomainBatches(
        options.pop("X"),
        rows.y,
        rows.domain,
        n_domains=rows.n_domains,
        n_targets=rows.n_targets,
        batch_size=batch_size,
        generators=[generators(seed) for seed in seeds],
        **options,
    )


def row_indices(batch):
    """Return the indices of the source rows and of the target rows of a batch."""
    index = batch.x[..., 0].long().numpy()
    return index[: batch.rows.n_source], index[batch.rows.n_source :]


def tensors(batch):
    return batch.x, batch.y, batch.label_weight, batch.rows.domain, batch.domain_weight


def assert_same_batches(actual, expected):
    actual, expected = list(actual), list(expected)
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert one.rows.n_source == other.rows.n_source
        for a, b in zip(tensors(one), tensors(other), strict=True):
            assert a.dtype == b.dtype
            assert_array_equal(a.numpy(), b.numpy())


# Rows


@quickly
@given(sizes, sizes, any_batch_size)
def test_an_epoch_is_one_pass_over_the_source_in_even_steps(n_source, n_target, batch_size):
    rows = make_rows([n_source], [n_target])
    batches = make_batches(rows, batch_size)
    for _ in range(2):
        steps = list(batches.epoch())
        assert sorted(np.concatenate([row_indices(step)[0] for step in steps])) == list(
            range(n_source)
        )
        lengths = [step.rows.n_source for step in steps]
        assert max(lengths) <= batch_size
        assert max(lengths) - min(lengths) <= 1
        # the minimum number of steps
        assert len(steps) == batches.n_steps == int(np.ceil(n_source / batch_size))


@quickly
@given(sizes, st.lists(sizes, min_size=1, max_size=4), any_batch_size)
def test_each_step_has_as_many_target_rows_in_equal_shares(n_source, target_sizes, batch_size):
    rows = make_rows([n_source], target_sizes)
    for batch in make_batches(rows, batch_size).epoch():
        n_source_rows = batch.rows.n_source
        shares = np.bincount(rows.domain[row_indices(batch)[1]], minlength=rows.n_domains)[1:]
        if n_source_rows >= len(target_sizes):
            assert shares.sum() == n_source_rows
            assert shares.max() - shares.min() <= 1
        else:
            assert_array_equal(shares, 1)


@quickly
@given(sizes, st.lists(sizes, min_size=1, max_size=3), any_batch_size, st.integers(1, 4))
def test_target_rows_come_in_whole_passes_across_epochs(
    n_source, target_sizes, batch_size, n_epochs
):
    rows = make_rows([n_source], target_sizes)
    batches = make_batches(rows, batch_size)
    seen = np.zeros(len(rows.X), dtype=int)
    for _ in range(n_epochs):
        for batch in batches.epoch():
            np.add.at(seen, row_indices(batch)[1], 1)
            assert seen[rows.domain == 0].sum() == 0
        for target in range(1, rows.n_domains):
            counts = seen[rows.domain == target]
            assert counts.max() - counts.min() <= 1


@quickly
@given(st.lists(sizes, min_size=1, max_size=3), st.lists(sizes, max_size=2), any_batch_size)
def test_fields_match_their_rows(source_sizes, target_sizes, batch_size):
    rows = make_rows(source_sizes, target_sizes)
    for batch in make_batches(rows, batch_size).epoch():
        source, target = row_indices(batch)
        both = np.concatenate([source, target])
        assert (source < len(rows.y)).all()
        assert (target >= len(rows.y)).all()
        assert_array_equal(batch.x.numpy(), rows.X[both])
        assert_array_equal(batch.y.numpy(), rows.y[source])
        assert_array_equal(batch.rows.domain.numpy(), rows.domain[both])
        assert batch.label_weight.shape == (len(source),)
        assert batch.domain_weight.shape == (len(both),)
        assert (
            batch.x.dtype == batch.label_weight.dtype == batch.domain_weight.dtype == torch.float32
        )


def test_each_epoch_is_shuffled_again():
    batches = make_batches(make_rows([200], [100]), 50)
    epochs = [list(batches.epoch()) for _ in range(2)]
    orders = [np.concatenate([row_indices(batch)[0] for batch in epoch]) for epoch in epochs]
    assert (orders[0] != np.arange(200)).mean() > 0.9
    assert (orders[0] != orders[1]).mean() > 0.9
    # the first epoch consists of two passes over the target
    passes = np.concatenate([row_indices(batch)[1] for batch in epochs[0]]).reshape(2, 100)
    assert_array_equal(np.sort(passes, axis=1), [np.arange(200, 300)] * 2)
    assert (passes[0] != passes[1]).mean() > 0.9
    assert (passes[0] != np.arange(200, 300)).mean() > 0.9


def test_the_source_order_is_the_same_with_and_without_a_target():
    alone, beside = make_rows([37], []), make_rows([37], [11])
    for one, other in zip(
        make_batches(alone, 8).epoch(), make_batches(beside, 8).epoch(), strict=True
    ):
        n_source = one.rows.n_source
        assert_array_equal(one.x.numpy(), other.x[:n_source].numpy())
        assert_array_equal(one.label_weight.numpy(), other.label_weight.numpy())
        assert len(one.x) == n_source


@quickly
@given(st.sets(st.integers(0, 29), min_size=1), any_batch_size)
def test_held_out_source_rows_are_never_used(kept, batch_size):
    rows = make_rows([30], [7])
    kept = np.array(sorted(kept))
    steps = list(make_batches(rows, batch_size, source_rows=kept).epoch())
    assert_array_equal(np.sort(np.concatenate([row_indices(step)[0] for step in steps])), kept)


# Weights


def totals(batches, rows):
    """Return the sum of step size times weight over an epoch, per row and loss (label, domain)."""
    label, domain = np.zeros(len(rows.X)), np.zeros(len(rows.X))
    for batch in batches.epoch():
        source, target = row_indices(batch)
        label[source] += batch.label_weight.numpy() * batch.rows.n_source
        np.add.at(
            domain, np.concatenate([source, target]), batch.domain_weight.numpy() * len(source)
        )
    return label, domain


@quickly
@given(sizes, st.lists(sizes, min_size=1, max_size=3), any_batch_size)
def test_each_domain_has_an_equal_share_of_every_step(n_source, target_sizes, batch_size):
    rows = make_rows([n_source], target_sizes)
    for batch in make_batches(rows, batch_size).epoch():
        share = np.bincount(
            batch.rows.domain, weights=batch.domain_weight, minlength=rows.n_domains
        )
        assert_allclose(share, 2 / rows.n_domains, rtol=1e-5)
        assert_allclose(batch.label_weight.sum(), 1.0, rtol=1e-5)
        # all rows of a domain have equal weight
        for d in range(rows.n_domains):
            assert len(np.unique(batch.domain_weight[batch.rows.domain == d])) == 1


@quickly
@given(
    st.lists(sizes, min_size=1, max_size=3),
    st.lists(sizes, min_size=1, max_size=2),
    any_batch_size,
    st.booleans(),
    st.integers(0, 99),
)
def test_domains_have_equal_weight_over_an_epoch(
    source_sizes, target_sizes, batch_size, is_weighted, seed
):
    rows = make_rows(source_sizes, target_sizes)
    n_source = len(rows.y)
    weight = np.random.default_rng(seed).uniform(0.1, 5.0, n_source) if is_weighted else None
    label, domain = totals(make_batches(rows, batch_size, sample_weight=weight), rows)
    w = np.ones(n_source) if weight is None else weight
    assert_allclose(label[:n_source], w * n_source / w.sum(), rtol=1e-5)
    source_domain = rows.domain[:n_source]
    mass = np.bincount(source_domain, weights=w)
    expected = 2 / rows.n_domains * n_source * w / mass[source_domain]
    assert_allclose(domain[:n_source], expected, rtol=1e-5)
    n_short = max(1, n_source // -(-n_source // batch_size))
    if n_short >= rows.n_targets:  # otherwise a step has more target rows than source rows
        by_target = np.bincount(rows.domain, weights=domain)[len(source_sizes) :]
        assert_allclose(by_target, 2 / rows.n_domains * n_source, rtol=1e-4)


def test_class_weights_apply_to_the_label_loss_only():
    rows = make_rows([12], [5])
    weight = np.linspace(1, 2, 12)
    label, domain = totals(
        make_batches(rows, 5, sample_weight=weight, class_weight=np.array([0.0, 1.0, 3.0])), rows
    )
    assert_allclose(
        label[:12], weight / weight.mean() * np.array([0.0, 1.0, 3.0])[rows.y], rtol=1e-5
    )
    assert_array_equal(domain, totals(make_batches(rows, 5, sample_weight=weight), rows)[1])


def test_zero_weights_drop_rows_and_unit_weights_change_nothing():
    rows = make_rows([12], [5])
    weight = np.tile([0.0, 1.0], 6)
    label, domain = totals(make_batches(rows, 4, sample_weight=weight), rows)
    assert_allclose(label[:12], 2 * weight, rtol=1e-6)
    assert_allclose(domain[:12], 2 * weight, rtol=1e-6)
    ones = make_batches(rows, 4, sample_weight=np.ones(12))
    assert_same_batches(ones.epoch(), make_batches(rows, 4).epoch())


def test_weights_are_relative_to_the_rows_trained_on():
    rows = make_rows([12], [5])
    weight, kept = np.arange(1.0, 13.0), np.arange(0, 12, 2)
    label, _ = totals(make_batches(rows, 4, sample_weight=weight, source_rows=kept), rows)
    assert_allclose(label[kept], weight[kept] / weight[kept].mean(), rtol=1e-5)


def test_all_rows_of_a_source_domain_may_be_held_out():
    rows = make_rows([10, 2], [5])
    kept = np.flatnonzero(rows.domain == 0)
    batches = make_batches(rows, 4, source_rows=kept)
    for batch in batches.epoch():
        assert torch.isfinite(batch.domain_weight).all()
        assert_allclose(batch.domain_weight[: batch.rows.n_source].sum(), 2 / 3, rtol=1e-5)


# Equivalent batches


@quickly
@given(st.lists(sizes, min_size=1, max_size=2), st.lists(sizes, max_size=2), any_batch_size)
def test_sparse_and_dense_rows_give_equal_batches(source_sizes, target_sizes, batch_size):
    rows = make_rows(source_sizes, target_sizes)
    for sparse in (sp.csr_array(rows.X), sp.csr_matrix(rows.X)):
        assert_same_batches(
            make_batches(rows, batch_size, X=sparse).epoch(), make_batches(rows, batch_size).epoch()
        )


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
@pytest.mark.parametrize("block_bytes", [1, 700])
def test_block_size_changes_nothing(monkeypatch, is_sparse, seeds, block_bytes):
    rows = make_rows([29, 12], [17, 5])
    X = sp.csr_array(rows.X) if is_sparse else rows.X
    whole = make_batches(rows, 6, X=X, seeds=seeds)
    expected = [batch for _ in range(2) for batch in whole.epoch()]
    monkeypatch.setattr(_batches, "BLOCK_BYTES", block_bytes)
    cut = make_batches(rows, 6, X=X, seeds=seeds)
    assert_same_batches((batch for _ in range(2) for batch in cut.epoch()), expected)


@pytest.mark.parametrize("seeds", [(0,), (1, 2)])
def test_rows_may_take_the_memory_of_earlier_ones(monkeypatch, seeds):
    monkeypatch.setattr(_batches, "BLOCK_BYTES", 200)  # blocks of one or a few steps
    rows = make_rows([37], [50])
    expected = [(batch.x, batch.x.clone()) for batch in make_batches(rows, 5, seeds=seeds).epoch()]
    reused, seen = make_batches(rows, 5, seeds=seeds), set()
    for (_, x), batch in zip(expected, reused.epoch(is_reused=True), strict=True):
        assert torch.equal(batch.x, x)
        seen.add(batch.x.untyped_storage().data_ptr())
    assert len(seen) <= 2  # an epoch has two sizes of steps at most
    assert len({x.untyped_storage().data_ptr() for x, _ in expected}) > 2
    for x, copied in expected:  # unless asked for, a batch may be kept
        assert torch.equal(x, copied)


def test_equal_generators_give_equal_batches_and_others_do_not():
    rows = make_rows([40], [30])
    assert_same_batches(make_batches(rows, 16).epoch(), make_batches(rows, 16).epoch())
    one, other = (next(iter(make_batches(rows, 16, seeds=(seed,)).epoch())) for seed in (0, 1))
    assert not torch.equal(one.x[:16], other.x[:16])
    assert not torch.equal(one.x[16:], other.x[16:])


@pytest.mark.parametrize("is_sparse", [False, True])
def test_members_equal_single_runs(is_sparse):
    rows = make_rows([29, 8], [17, 5])
    weight = np.linspace(0.5, 2, 37)
    X = sp.csr_array(rows.X) if is_sparse else rows.X
    seeds = (4, 0, 7)
    together = make_batches(rows, 6, X=X, seeds=seeds, sample_weight=weight)
    alone = [make_batches(rows, 6, seeds=(seed,), sample_weight=weight) for seed in seeds]
    for _ in range(2):
        for batch, *singles in zip(
            together.epoch(), *(single.epoch() for single in alone), strict=True
        ):
            for k, single in enumerate(singles):
                assert batch.rows.n_source == single.rows.n_source
                for a, b in zip(tensors(batch), tensors(single), strict=True):
                    assert_array_equal(a[k].numpy(), b.numpy())


def test_global_generators_are_unchanged():
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    list(make_batches(make_rows([40], [30]), 16).epoch())
    assert_array_equal(torch.get_rng_state(), before)
    assert_array_equal(np.random.get_state()[1], numpy_before)


@pytest.mark.parametrize("seeds", [(0,), (4, 0, 7)])
@pytest.mark.parametrize("n_targets", [0, 2])
def test_rows_stay_sparse_on_request_one_matrix_per_member(seeds, n_targets):
    rows = make_rows([29], [17, 5][:n_targets])
    X = sp.csr_array(rows.X)
    dense = list(make_batches(rows, 6, seeds=seeds).epoch())
    thin = list(make_batches(rows, 6, X=X, seeds=seeds).epoch(stays_sparse=True))
    assert len(thin) == len(dense)
    for batch, expected in zip(thin, dense, strict=True):
        assert len(batch.x) == len(seeds)
        members = expected.x if len(seeds) > 1 else [expected.x]
        for matrix, values in zip(batch.x, members, strict=True):
            assert sp.issparse(matrix)
            assert matrix.dtype == np.float32
            assert_array_equal(matrix.toarray(), values.numpy())
        for a, b in zip(tensors(batch)[1:], tensors(expected)[1:], strict=True):
            assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize(("n_values", "is_thin"), [(0, True), (5, True), (6, False)])
def test_rows_are_thin_if_at_most_one_value_in_twenty_is_not_zero(n_values, is_thin):
    rows = make_rows([4], [])
    X = np.zeros((4, 25), dtype=np.float32)
    X.flat[:n_values] = 1.0
    assert make_batches(rows, 2, X=sp.csr_array(X)).is_thin == is_thin
    assert not make_batches(rows, 2, X=X).is_thin


# State, devices and limits


def continued(rows, batch_size, state, source, seeds):
    """Return new batches with a restored state, whose generators began elsewhere."""
    batches = make_batches(rows, batch_size, seeds=[seed + 50 for seed in seeds])
    batches.load_state_dict(state)
    for generator, each in zip(batches.source_generators, source, strict=True):
        generator.set_state(each)
    return batches


@pytest.mark.parametrize("target_sizes", [[5], [7, 30], [10, 10]])
@pytest.mark.parametrize("n_epochs", [0, 1, 3])
@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_restored_batches_continue_where_the_others_were(target_sizes, n_epochs, seeds):
    rows = make_rows([20], target_sizes)
    whole = make_batches(rows, 6, seeds=seeds)
    for _ in range(n_epochs):
        list(whole.epoch())
    state = whole.state_dict()
    source = [generator.get_state() for generator in whole.source_generators]
    kept = {name: value.clone() for name, value in state.items()}
    one, other = (continued(rows, 6, kept, source, seeds) for _ in range(2))
    expected = [batch for _ in range(3) for batch in whole.epoch()]
    for batches in (one, other):  # the state is not used up by the first
        assert_same_batches((batch for _ in range(3) for batch in batches.epoch()), expected)


def test_the_state_names_member_and_target():
    batches = make_batches(make_rows([20], [7, 10]), 20, seeds=(0, 1))
    places = {"0.0", "0.1", "1.0", "1.1"}
    assert batches.state_dict().keys() == {f"{place}.generator" for place in places}
    list(batches.epoch())
    # ten rows of each: one and a part of a second pass over the first target, one over the other
    left = {name: len(value) for name, value in batches.state_dict().items() if "left" in name}
    assert left == {"0.0.left": 4, "1.0.left": 4}


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("source_sizes", [[20], [12, 8]])
def test_batches_are_on_the_device(seeds, is_weighted, source_sizes):
    rows = make_rows(source_sizes, [7])
    weight = np.linspace(1, 2, 20) if is_weighted else None
    for batch in make_batches(rows, 6, seeds=seeds, sample_weight=weight, device="meta").epoch():
        assert {value.device.type for value in tensors(batch)} == {"meta"}


def test_a_weight_that_float32_cannot_hold_is_infinite():
    rows = make_rows([12], [5])
    for batch in make_batches(rows, 4, class_weight=np.array([1e39, 1.0, 1.0])).epoch():
        assert_array_equal(torch.isinf(batch.label_weight), batch.y == 0)


def test_members_may_hold_out_different_source_domains():
    rows = make_rows([6, 4], [5])
    kept = np.stack(
        [np.flatnonzero(rows.domain[:10] == 0)[:4], np.arange(10)[rows.domain[:10] == 1]]
    )
    for batch in make_batches(rows, 4, seeds=(0, 1), source_rows=kept).epoch():
        for member in range(2):
            domain = batch.rows.domain[member]
            assert_array_equal(domain[:4], member)
            assert_allclose(batch.domain_weight[member][:4].sum(), 2 / 3, rtol=1e-5)


# -- rows drawn by weights, and labelled target rows ----------------------------------------------


def test_source_rows_are_drawn_by_their_weights():
    rows = make_rows([12], [12])
    batches = make_batches(rows, 6, source_rows=np.arange(2, 12))
    weight = np.where(np.arange(10) < 5, 0.5, 1.5)  # of the rows trained on
    batches.draw_source(0, weight)
    epochs = [np.concatenate([row_indices(b)[0] for b in batches.epoch()]) for _ in range(40)]
    count = np.bincount(np.concatenate(epochs), minlength=12)
    assert (count[:2] == 0).all()
    assert_allclose(count[2:] / 40, weight, atol=0.25)
    assert all(len(epoch) == 10 for epoch in epochs)


def labelled(rows, kinds, batch_size=7, **changed):
    """Return batches whose members "train" and "draw" have weights, the first with labels."""
    batches = make_batches(rows, batch_size, seeds=range(len(kinds)), **changed)
    for member, kind in enumerate(kinds):
        for target in range(rows.n_targets):
            n_rows = (rows.domain == rows.n_domains - rows.n_targets + target).sum()
            weight = (np.arange(n_rows) % 3 > 0).astype(float)
            if kind is not None:
                label = (np.arange(n_rows) + member) % 3 if kind == "train" else None
                batches.draw_target(member, target, weight, label)
    return batches


@pytest.mark.parametrize("target_sizes", [[8], [8, 13]])
@pytest.mark.parametrize("weighted", [False, True])
def test_labelled_target_rows_have_half_of_the_label_loss(target_sizes, weighted):
    rows = make_rows([11, 9], target_sizes)
    weight = np.linspace(0.5, 1.5, 20) if weighted else None
    batches, plain = (
        labelled(rows, ["train"], sample_weight=weight),
        make_batches(rows, 7, sample_weight=weight),
    )
    assert batches.has_weights
    assert not plain.has_weights
    for batch, other in zip(batches.epoch(), plain.epoch(), strict=True):
        source, target = row_indices(batch)
        n_source = len(source)
        assert batch.n_labelled == len(batch.y) == n_source + len(target)
        assert_array_equal(source, row_indices(other)[0])
        assert_array_equal(batch.y[:n_source], other.y)
        assert_allclose(batch.label_weight[:n_source], other.label_weight / 2)
        assert_allclose(batch.label_weight[n_source:], 0.5 / len(target))
        assert_array_equal(batch.domain_weight, other.domain_weight)
        place = target - np.array(
            [np.flatnonzero(rows.domain == d)[0] for d in rows.domain[target]]
        )
        assert (place % 3 > 0).all()  # rows of weight 0 are never drawn
        assert_array_equal(batch.y[n_source:], place % 3)
        assert_array_equal(batch.y_source, other.y)
        assert batch.labelled is batch.rows


def test_weights_without_labels_leave_the_label_loss_alone():
    rows = make_rows([11], [8])
    batches, plain = labelled(rows, ["draw"]), make_batches(rows, 7)
    for batch, other in zip(batches.epoch(), plain.epoch(), strict=True):
        assert batch.n_labelled == batch.rows.n_source
        assert batch.labelled.n_source == batch.labelled.domain.shape[-1] == batch.n_labelled
        assert_array_equal(batch.label_weight, other.label_weight)
        assert ((row_indices(batch)[1] - 11) % 3 > 0).all()


@pytest.mark.parametrize("is_sparse", [False, True])
def test_members_without_labels_keep_their_batches(is_sparse):
    """Members: with labels, with weights alone, and as before."""
    rows = make_rows([11, 9], [8, 13])
    X = sp.csr_array(rows.X) if is_sparse else rows.X
    given = {"X": X, "sample_weight": np.linspace(0.5, 1.5, 20)}
    together = list(labelled(rows, ["train", "draw", None], **given).epoch())
    plain = list(make_batches(rows, 7, seeds=range(3), **given).epoch())
    for batch, other in zip(together, plain, strict=True):
        n_source = batch.rows.n_source
        assert_array_equal(batch.x[2], other.x[2])
        assert_array_equal(batch.y[:, :n_source], other.y)
        assert_array_equal(batch.label_weight[1:, :n_source], other.label_weight[1:])
        assert_allclose(batch.label_weight[0, :n_source], other.label_weight[0] / 2)
        assert_allclose(batch.label_weight[0, n_source:].sum(), 0.5, rtol=1e-6)
        assert (batch.label_weight[1:, n_source:] == 0).all()
        assert ((batch.y >= 0) & (batch.y < 3)).all()


def test_draws_and_labels_are_restored():
    rows = make_rows([11, 9], [8, 13])
    one = labelled(rows, ["train", None])
    one.draw_source(1, np.linspace(0.5, 1.5, 20))
    list(one.epoch())
    state = {name: value.clone() for name, value in one.state_dict().items()}
    # orders of the source rows come from generators that the net saves
    sources = [generator.get_state() for generator in one.source_generators]
    other = make_batches(rows, 7, seeds=(5, 6))
    other.load_state_dict(state)
    for generator, saved in zip(other.source_generators, sources, strict=True):
        generator.set_state(saved)
    assert other.has_weights
    assert_same_batches(other.epoch(), one.epoch())
    other.load_state_dict(make_batches(rows, 7, seeds=(0, 1)).state_dict())
    assert other.labels is None
    assert not other.has_weights


# Labelled target rows


def with_labels(rows, batch_size, labelled, seeds=(0,), **changed):
    """Batches with labels of some target rows: class 2 for each."""
    y = np.full(len(rows.domain), 2)
    y[: len(rows.y)] = rows.y
    known = rows._replace(y=y)
    source_rows = np.arange(len(rows.y))
    given = {"source_rows": source_rows, "labelled_rows": np.array(labelled), **changed}
    return make_batches(known, batch_size, seeds=seeds, **given)


@pytest.mark.parametrize("target_sizes", [[18], [8, 10]])
@pytest.mark.parametrize("weighted", [False, True])
def test_some_labelled_target_rows_are_in_each_batch_for_the_label_loss_alone(
    target_sizes, weighted
):
    rows = make_rows([11, 9] if weighted else [20], target_sizes)
    given = {"sample_weight": np.linspace(0.5, 1.5, 20)} if weighted else {}
    labelled = [23, 30, 35]
    batches, plain = with_labels(rows, 7, labelled, **given), make_batches(rows, 7, **given)
    seen = []
    for batch, other in zip(batches.epoch(), plain.epoch(), strict=True):
        n_source = batch.rows.n_source
        source, target = row_indices(batch)
        n_known = batch.n_labelled - n_source
        assert n_known == max(1, n_source // 4)
        known = target[:n_known]
        seen += known.tolist()
        assert set(known) <= set(labelled)
        assert_array_equal(source, row_indices(other)[0])
        assert_array_equal(batch.y, [*other.y, *[2] * n_known])
        assert_array_equal(batch.y_source, other.y)
        assert_array_equal(batch.rows.domain, rows.domain[row_indices_of(batch)])
        drawn = batch.rows.domain[batch.n_labelled :]
        assert_array_equal(drawn, other.rows.domain[n_source:])
        assert batch.labelled.n_source == n_source
        assert_array_equal(batch.labelled.domain, batch.rows.domain[: batch.n_labelled])
        share = _batches.labelled_share(3)
        assert_allclose(batch.label_weight[:n_source], other.label_weight * (1 - share))
        assert_allclose(batch.label_weight[n_source:].sum(), share, rtol=1e-6)
        assert (batch.domain_weight[n_source : batch.n_labelled] == 0).all()
        rest = np.r_[0:n_source, batch.n_labelled : len(batch.domain_weight)]
        assert_allclose(batch.domain_weight[rest], other.domain_weight, rtol=1e-6)
    assert set(seen[:3]) == set(labelled)  # one pass draws each


def test_the_share_of_labelled_target_rows_in_the_label_loss():
    shares = [_batches.labelled_share(n) for n in (5, 20, 180)]
    assert shares == [0.2, 0.5, 0.9]


@pytest.mark.parametrize(("n_source", "batch_size"), [(7, 7), (7, 3), (20, 6), (3, 100)])
def test_no_batch_has_more_source_rows_than_the_maximum(n_source, batch_size):
    batches = make_batches(make_rows([n_source], [4]), batch_size)
    assert batches.max_size == max(batch.rows.n_source for batch in batches.epoch())


def row_indices_of(batch):
    return batch.x[..., 0].long().numpy()


def test_class_weights_apply_to_labelled_target_rows():
    rows = make_rows([12], [9])
    batches = with_labels(rows, 12, [13, 14], class_weight=np.array([1.0, 1.0, 3.0]))
    [batch] = batches.epoch()
    share = _batches.labelled_share(2)
    assert_allclose(batch.label_weight[12:], 3 * share / 2)


@pytest.mark.parametrize("labelled", [[[13, 14], [18, 20]], [13, 14]], ids=["own", "shared"])
def test_each_member_has_its_labelled_rows(labelled):
    rows = make_rows([12], [9])
    together = with_labels(rows, 5, labelled, seeds=(0, 1))
    own = np.broadcast_to(labelled, (2, 2))
    apart = [with_labels(rows, 5, each, seeds=(i,)) for i, each in enumerate(own)]
    for batch, *others in zip(together.epoch(), *(one.epoch() for one in apart), strict=True):
        for member, other in enumerate(others):
            assert_array_equal(batch.x[member], other.x)
            assert_array_equal(batch.y[member], other.y)


def test_pseudo_labels_of_a_member_keep_its_true_labels_alone():
    rows = make_rows([12], [9])
    batches = with_labels(rows, 12, [[13, 14], [18, 20]], seeds=(0, 1))
    for member in (0, 1):
        batches.draw_target(member, 0, np.ones(9), np.zeros(9, dtype=int))
    true = [np.isin(np.arange(12, 21), own) for own in ([13, 14], [18, 20])]
    assert_array_equal(batches.labels[:, 12:], np.where(true, 2, 0))


def test_weights_of_each_member_are_those_of_its_rows():
    rows = make_rows([7, 5], [9])
    weight = np.random.default_rng(0).uniform(0.5, 3.0, 12)
    own = np.stack([np.arange(8), np.arange(4, 12)])
    given = {"sample_weight": weight, "class_weight": np.array([1.0, 2.0, 4.0])}
    together = make_batches(rows, 4, seeds=(0, 1), source_rows=own, **given)
    apart = [make_batches(rows, 4, seeds=(i,), source_rows=own[i], **given) for i in (0, 1)]
    sums = np.zeros((2, 3))
    for batch, *others in zip(together.epoch(), *(one.epoch() for one in apart), strict=True):
        for member, other in enumerate(others):
            assert_allclose(batch.label_weight[member], other.label_weight, rtol=1e-5)
            assert_allclose(batch.domain_weight[member], other.domain_weight, rtol=1e-5)
            sums[member] += np.bincount(other.rows.domain, other.domain_weight, minlength=3)
    assert_allclose(sums / together.n_steps, 2 / 3, rtol=1e-5)  # each domain counts the same


def test_true_labels_replace_pseudo_labels():
    rows = make_rows([12], [9])
    batches = with_labels(rows, 12, [13, 14])
    batches.draw_target(0, 0, np.ones(9), np.zeros(9, dtype=int))
    [batch] = batches.epoch()
    index = row_indices_of(batch)
    n_known = batch.n_labelled - len(index)
    assert n_known == 0  # all rows are in the label loss
    assert_array_equal(batch.y[index >= 12], np.where(np.isin(index[12:], [13, 14]), 2, 0))
    share = _batches.labelled_share(2)
    assert_allclose(batch.label_weight[:12].sum(), (1 - share) / 2, rtol=1e-6)
    assert_allclose(batch.label_weight[12:14].sum(), share / 2, rtol=1e-6)
    assert_allclose(batch.label_weight[14:].sum(), 0.5, rtol=1e-6)


def test_labelled_rows_can_be_drawn_by_weights_and_their_pass_is_stored():
    rows = make_rows([24], [9])
    batches = with_labels(rows, 6, [25, 26, 27])
    batches.draw_labelled(0, np.array([0.0, 1.0, 1.0]))
    for batch in batches.epoch():
        assert 25 not in row_indices_of(batch)[6 : batch.n_labelled]
    other = with_labels(rows, 6, [25, 26, 27])
    state = {name: value.clone() for name, value in batches.state_dict().items()}
    other.load_state_dict(state)
    other.source_generators[0].set_state(batches.source_generators[0].get_state())
    assert_same_batches(batches.epoch(), other.epoch())


def make_scaler(rows, kinds):
    scaler = DomainStandardizer(kinds, rows.X.shape[1], rows.n_domains, rows.n_targets)
    for member in range(len(kinds)):
        scaler.measure(member, rows.X, rows.domain)
    return scaler


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
@pytest.mark.parametrize(("sources", "targets"), [([9], []), ([9], [7]), ([5, 6], [4, 3])])
def test_rows_scaled_once_are_those_scaled_in_each_step(seeds, sources, targets):
    rows = make_rows(sources, targets)
    scaler = make_scaler(rows, ["domain", "source", "domain"][: len(seeds)])
    batches, raw = (make_batches(rows, 4, seeds=seeds, n_epochs=3) for _ in range(2))
    for _ in range(3):
        assert batches.scale(scaler)
        for scaled, batch in zip(batches.epoch(is_scaled=True), raw.epoch(), strict=True):
            assert scaled.is_scaled
            assert not batch.is_scaled
            assert_array_equal(scaled.x, scaler(batch.x, batch.rows))
            assert_same_batches([scaled._replace(x=batch.x)], [batch])
        scaler.measure(len(seeds) - 1, 2 * rows.X + 1, rows.domain)  # as with pseudo-labels


def test_only_members_with_other_statistics_are_scaled_again(monkeypatch):
    rows, members = make_rows([9], [7]), []
    scaler, batches = make_scaler(rows, ["domain", "source"]), make_batches(rows, 4, seeds=(0, 1))
    scale_member = scaler.scale_member

    def count(member, *args):
        members.append(member)
        scale_member(member, *args)

    monkeypatch.setattr(scaler, "scale_member", count)
    assert batches.scale(scaler)
    assert batches.scale(scaler)
    assert members == [0, 1]
    scaler.measure(1, 2 * rows.X, rows.domain)
    assert batches.scale(scaler)
    assert members == [0, 1, 1]


def test_rows_are_not_scaled_at_once_if_that_does_not_pay(monkeypatch):
    rows = make_rows([9], [50])
    scaler = make_scaler(rows, ["domain"])

    def is_scaled(n_epochs=4, **changed):
        return make_batches(rows, 4, n_epochs=n_epochs, **changed).scale(scaler)

    assert is_scaled()  # 72 rows are drawn
    assert not is_scaled(3)  # 54 of 59
    assert not is_scaled(X=sp.csr_array(rows.X))
    monkeypatch.setattr(_batches, "SCALED_BYTES", 4 * rows.X.size - 1)
    assert not is_scaled()
    monkeypatch.setattr(_batches, "SCALED_BYTES", 4 * rows.X.size)
    assert is_scaled()
    scaler = make_scaler(rows, ["domain"] * 2)
    assert not is_scaled(seeds=(0, 1))


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_a_chunk_with_many_target_rows_is_not_scaled_as_a_whole(monkeypatch, call):
    scaled, scale = [], DomainBatches.scale
    monkeypatch.setattr(
        DomainBatches, "scale", lambda *args: scaled.append(scale(*args)) or scaled[-1]
    )
    X = np.random.default_rng(0).normal(size=(120, 3))
    clf = DANNClassifier(max_epochs=8, random_state=0)
    options = {"classes": [0, 1]} if call == "partial_fit" else {}
    getattr(clf, call)(X[:20], np.arange(20) % 2, X[20:], **options)
    assert scaled == ([True] * 8 if call == "fit" else [False])
