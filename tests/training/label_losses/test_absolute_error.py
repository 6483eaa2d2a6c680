"""Absolute error by hand."""

import torch

from tests.training.label_losses.common import new_loss


def test_values_by_hand():
    outputs, y = torch.tensor([[[1.0], [2.0]]]), torch.tensor([[3.0], [2.5]])
    loss = new_loss("absolute_error").total(outputs, y, torch.tensor([0.5, 0.5]))
    assert loss.item() == (2.0 + 0.5) / 2
