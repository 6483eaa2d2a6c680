"""
How much to adapt: a path of lambdas
====================================

How do source accuracy, target accuracy and the domain classifier change as ``lambda_max`` grows?
"""

# %%
# The data are the diabetes patients that ship with scikit-learn, split at the age of 50. The
# younger patients have labels (did the disease progress more than the median?), the older do not.

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from skdann import DANNClassifier, make_pipeline

data = load_diabetes(as_frame=True, scaled=False)
has_progressed = (data.target > data.target.median()).astype(int)
is_young = data.data["age"] < 50
rows = data.data.drop(columns="age")  # it identifies the domain
X_source, y_source = rows[is_young], has_progressed[is_young]
X_target, y_target = rows[~is_young], has_progressed[~is_young]
print(f"{len(X_source)} source rows, {len(X_target)} target rows")

# %%
# Train one network per lambda, all with the same seed.

path = []
for lambda_max in (0.0, 0.03, 0.1, 0.3, 1.0, 3.0):
    pipe = make_pipeline(
        StandardScaler(), DANNClassifier(lambda_max=lambda_max, max_epochs=40, random_state=0)
    )
    pipe.fit(X_source, y_source, X_target=X_target)
    of_source, of_target = (
        pipe[-1].predict_domain_proba(pipe[:-1].transform(X))[:, 1] for X in (X_source, X_target)
    )
    path.append(
        {
            "lambda_max": lambda_max,
            "target balanced accuracy": balanced_accuracy_score(y_target, pipe.predict(X_target)),
            "source balanced accuracy": balanced_accuracy_score(y_source, pipe.predict(X_source)),
            "domain classifier AUC": roc_auc_score(
                [0] * len(of_source) + [1] * len(of_target), [*of_source, *of_target]
            ),
        }
    )
path = pd.DataFrame(path).set_index("lambda_max")
path.round(3)

# %%
# As lambda grows, the AUC of the domain classifier falls, and so does the accuracy on the source.
# The accuracy on the target is what matters, but it cannot be computed without target labels. On
# this table there is little to gain. :class:`skdann.DANNClassifierCV` mixes several ways to adapt
# by criteria that need no target labels; with ``aggregate="passing"`` it selects along such a path.

ax = path.reset_index(drop=True).plot(figsize=(6.5, 3.8), marker="o", color=["k", "C0", "#d55e00"])
ax.set(xlabel="lambda_max", xticks=range(len(path)), xticklabels=path.index, ylim=(0.4, 1.02))
plt.tight_layout()
