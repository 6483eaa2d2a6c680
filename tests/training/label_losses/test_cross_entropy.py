"""Cross-entropy as an object equals the functions that `test_losses.py` compares with equations."""

import torch
from numpy.testing import assert_allclose

from skdann._training.losses import label_gradient, label_loss
from tests.training.label_losses.common import new_loss


def test_smoothing_is_that_of_the_parameters():
    generator = torch.Generator().manual_seed(0)
    logits, y = torch.randn(1, 6, 3, generator=generator), torch.arange(6) % 3
    weight, loss = torch.full((6,), 1 / 6), new_loss("cross_entropy", label_smoothing=0.2)
    assert torch.equal(loss.total(logits, y, weight), label_loss(logits, y, weight, 0.2))
    assert torch.equal(loss.gradient(logits, y, weight), label_gradient(logits, y, weight, 0.2))
    assert loss.total(logits, y, weight) != label_loss(logits, y, weight, 0.0)


def test_held_out_rows_are_not_smoothed():
    logits, y = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])
    figures = new_loss("cross_entropy", label_smoothing=0.5).validate(logits, y)
    expected = torch.nn.functional.cross_entropy(logits, y)
    assert_allclose(figures["valid_loss"], expected, rtol=1e-6)
    assert figures["valid_accuracy"] == 0.5
