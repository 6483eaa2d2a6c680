"""
What adaptation does to the features
====================================

Do the classes of the target come to lie on those of the source?
"""

# %%
# Tumour samples of two laboratories, the second of which mixes up its microscope objectives. The
# rows are real and ship with scikit-learn, the mix-up is ours.

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from skdann import DANNClassifier, make_pipeline
from skdann.inspection import DomainEmbeddingDisplay, DomainShiftDisplay, TrainingCurveDisplay

data = load_breast_cancer(as_frame=True)
rows, labels = data.data, data.target_names[data.target]
rng = np.random.RandomState(0)
power = [2 * ("area" in name) + ("radius" in name or "perimeter" in name) for name in rows]
objective = rng.choice([40, 20, 10], size=len(rows))
a, b = np.split(rng.permutation(len(rows)), [285])
X_source, y_source = rows.iloc[a], labels[a]
X_target, y_target = (rows * (objective[:, None] / 40) ** power).iloc[b], labels[b]

# %%
# The columns that differ most are those with a length or an area in them.

DomainShiftDisplay.from_domains(X_source, X_target)

# %%
# Train with adaptation. The domain classifier ends near one half: it is guessing.

scaler = StandardScaler().set_output(transform="pandas")
pipe = make_pipeline(scaler, DANNClassifier(lambda_max=1.0, max_epochs=150, random_state=0))
pipe.fit(X_source, y_source, X_target=X_target)
TrainingCurveDisplay.from_estimator(pipe)

# %%
# Before (the columns) and after (the features). The target's colours are its true classes, which
# the training did not see; leave ``y_target`` out and they are the predicted ones.

DomainEmbeddingDisplay.from_estimator(
    pipe, X_source, y_source, X_target, y_target=y_target, random_state=0
)
