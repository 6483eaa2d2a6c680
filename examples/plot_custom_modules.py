"""
Custom torch modules
====================

Can the feature extractor be any torch module? Yes; this example uses a small convolutional network.
"""

# %%
# The data are the 8 x 8 pixel digits that ship with scikit-learn. The source scanner returns them
# unchanged; the target scanner is misaligned by one pixel.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits

from skdann import DANNClassifier

digits, labels = load_digits(return_X_y=True)
order = np.random.RandomState(0).permutation(len(digits))
a, b = order[:700], order[700:1400]
moved = np.roll(digits.reshape(-1, 8, 8), 1, axis=2).reshape(-1, 64)
X_source, y_source = digits[a] / 16.0, labels[a]
X_target, y_target = moved[b] / 16.0, labels[b]

figure, axes = plt.subplots(2, 6, figsize=(6, 2.2), layout="constrained")
for row, rows in zip(axes, (X_source, X_target), strict=True):
    for ax, picture in zip(row, rows, strict=False):
        ax.imshow(picture.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        ax.set_axis_off()

# %%
# The module maps rows to features; the estimator determines the number of features itself. Pass the
# class, or a function that creates the module, so that every fit starts from new weights.


class Convolution(torch.nn.Module):
    """Two convolutions over an 8 x 8 image, passed as a row of 64 columns."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Unflatten(1, (1, 8, 8)),
            torch.nn.Conv2d(1, 16, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Conv2d(16, 32, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
        )

    def forward(self, rows):
        """Return the features of the rows."""
        return self.layers(rows)


for name, extractor in (("hidden layers 128, 64", (128, 64)), ("convolution", Convolution)):
    for lambda_max in (0.0, 1.0):
        clf = DANNClassifier(
            feature_extractor=extractor, lambda_max=lambda_max, max_epochs=12, random_state=0
        )
        clf.fit(X_source, y_source, X_target)
        print(f"{name:22} lambda_max={lambda_max}: accuracy {clf.score(X_target, y_target):.3f}")

# %%
# The plain network has no notion of neighbouring pixels, and adaptation lowers its accuracy. The
# convolutional network can map a digit and its shifted copy to the same features, and adaptation
# raises its accuracy. The architecture determines which differences adaptation can remove.

# %%
# The three networks, as printed by torch:

print(clf.module_)
