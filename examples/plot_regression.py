"""
Predict a number although some sensors drift
============================================

A model is trained on labelled readings of this year. Next year some sensors read too much. Can the
network learn to trust the others, without a single label of next year?
"""

# %%
# Six sensors measure one quantity. The last three are more exact, and drift in the target: they
# read 1 too much. The data are simulated. We score rows of the target that were not used to adapt.

import matplotlib.pyplot as plt
from sklearn.model_selection import train_test_split

from skdann import DANNRegressor
from skdann.datasets import make_sensor_drift

X_source, y_source, X, y = make_sensor_drift(1000, random_state=0)
X_target, X_test, _, y_test = train_test_split(X, y, test_size=0.5, random_state=0)

# %%
# Lambda weights the adversary. With 0 the network learns from the source alone, and trusts the
# sensors that are exact there.

regressors = {
    strength: DANNRegressor(lambda_max=strength, max_epochs=80, random_state=0)
    for strength in (0.0, 0.01, 0.1, 1.0)
}
for strength, reg in regressors.items():
    reg.fit(X_source, y_source, X_target)
    print(f"lambda {strength:<5g} R2 on the target {reg.score(X_test, y_test):.3f}")

# %%
# Without adaptation, nearly all predictions are too high. With lambda 1 the offset is nearly gone.

figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True, layout="constrained")
for ax, strength in zip(axes, (0.0, 1.0), strict=True):
    ax.plot(y_test, regressors[strength].predict(X_test), ".", color="#0072b2", alpha=0.5)
    ax.axline((0, 0), slope=1, color="k", lw=1)
    ax.set(title=f"lambda {strength:g}", xlabel="true value")
axes[0].set_ylabel("prediction")

# %%
# The quantity has the same distribution in both years here, which is what alignment assumes. Where
# it differs, a large lambda does harm; the default, 0.01, is small for this reason. What can be
# said without target labels is which columns shift:

print(regressors[1.0].diagnose(X_source, X_target))
plt.show()
