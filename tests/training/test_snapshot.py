"""Snapshots: an interrupted epoch is undone completely."""

import pytest
import torch
from skorch.callbacks import Callback

from skdann._input.domains import check_domains
from skdann._saving.state import net_state
from skdann._training.fitting import prepare, train
from skdann._training.snapshot import Snapshot


def test_an_interrupt_restores_other_state_of_optimizer_and_modules(make_clf, domains):
    class Counting(torch.optim.SGD):
        def step(self, closure=None):
            loss = super().step(closure)
            for parameter in self.param_groups[0]["params"]:
                slot = self.state[parameter]
                slot["n"] = slot.get("n", 0) + 1
                slot.setdefault("seen", []).append(slot["n"])
            return loss

    class Body(torch.nn.Sequential):
        def __init__(self):
            super().__init__(torch.nn.Linear(domains.X_source.shape[1], 8), torch.nn.ReLU())
            self.register_buffer("n", torch.zeros(()))

        def forward(self, x):
            if self.training:
                self.n = self.n + 1  # a new tensor in each call
            return super().forward(x)

    def kept(net):
        slots = [(slot["n"], list(slot["seen"])) for slot in net.optimizer_.state.values()]
        return slots, float(net.module_.feature_extractor.n)

    at_begin = []

    class Late(Callback):
        def on_epoch_begin(self, net, **kwargs):
            at_begin.append(kept(net))

        def on_batch_end(self, net, **kwargs):
            if len(net.history) == 4:
                raise KeyboardInterrupt

    clf = make_clf(feature_extractor=Body(), max_epochs=6, optimizer=Counting, callbacks=[Late()])
    with pytest.warns(UserWarning, match="interrupted"):
        clf.fit(*domains[:3])
    assert clf.n_epochs_ == 3
    assert kept(clf.net_) == at_begin[3]
    assert at_begin[3] != at_begin[2]


@pytest.mark.parametrize("optimizer", ["adam", "sgd", torch.optim.Adagrad])
def test_everything_that_an_epoch_changes_is_restored(optimizer, make_clf, domains):
    clf = make_clf(optimizer=optimizer, normalization="batch", dropout=0.3).fit(*domains[:3])
    net, snapshot = clf.net_, Snapshot()
    before = {name: value.clone() for name, value in net_state(net).items()}
    rows, n_done = [dict(row) for row in net.history], net.n_epochs_done_
    for _ in range(2):  # the second time its buffers are used again
        snapshot.take(net)
        train(net, prepare(clf, check_domains(*domains[:3])), 1)
        assert not all(torch.equal(value, before[name]) for name, value in net_state(net).items())
        snapshot.restore(net)
        state = net_state(net)
        assert state.keys() == before.keys()
        for name, value in before.items():
            assert torch.equal(state[name], value), name
        assert [dict(row) for row in net.history] == rows
        assert net.n_epochs_done_ == n_done


def test_a_net_may_be_restored_to_a_time_before_its_first_step(make_clf, domains):
    clf = make_clf(max_epochs=1).fit(*domains[:3])
    net, snapshot = clf.net_, Snapshot()
    net.optimizer_.state.clear()
    snapshot.take(net)
    train(net, prepare(clf, check_domains(*domains[:3])), 1)
    assert net.optimizer_.state
    snapshot.restore(net)
    assert not net.optimizer_.state


def test_buffers_are_used_again_while_the_tensors_stay(make_clf, domains):
    net, snapshot = make_clf().fit(*domains[:3]).net_, Snapshot()
    snapshot.take(net)
    copies = [value.data_ptr() for value in snapshot.copies]
    snapshot.take(net)
    assert [value.data_ptr() for value in snapshot.copies] == copies
    weight = net.module_.label_predictor[0].weight
    weight.data = weight.data.clone()  # the same parameter with other storage
    net.module_.register_buffer("new", torch.ones(2))
    snapshot.take(net)
    assert len(snapshot.copies) == len(copies) + 1
    net.module_.new.zero_()
    snapshot.restore(net)
    assert net.module_.new.tolist() == [1.0, 1.0]
