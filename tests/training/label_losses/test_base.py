"""The loss of several outputs, and the loss of held-out rows."""

import torch
from numpy.testing import assert_allclose

from tests.training.label_losses.common import new_loss, numbers


def test_the_loss_of_several_outputs_is_their_mean():
    outputs, y, weight = numbers(n_outputs=3)
    loss = new_loss("squared_error")
    each = [loss.total(outputs[..., k : k + 1], y[:, k : k + 1], weight) for k in range(3)]
    assert_allclose(loss.total(outputs, y, weight), torch.stack(each).mean())


def test_the_loss_of_held_out_rows_weighs_all_equally():
    outputs, y, _ = numbers()
    figures = new_loss("absolute_error").validate(outputs[0], y)
    assert figures.keys() == {"valid_loss"}
    assert_allclose(figures["valid_loss"], (outputs[0] - y).abs().mean())
