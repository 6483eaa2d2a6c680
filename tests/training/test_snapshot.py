"""Snapshots: an interrupted epoch is undone completely."""

import pytest
import torch
from skorch.callbacks import Callback


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
