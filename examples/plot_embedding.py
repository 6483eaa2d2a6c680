"""
Effect of adaptation on the features
====================================

Does each class of the target overlap the same class of the source after adaptation?
"""

# %%
# The data are tumour samples from two laboratories, the second of which mixes up its microscope
# objectives. The rows are real and ship with scikit-learn; the mix-up is simulated.

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
# The columns that differ most are those that contain a length or an area.

DomainShiftDisplay.from_domains(X_source, X_target)

# %%
# Train with adaptation. At the end, the accuracy of the domain classifier is near one half, which
# is chance.

scaler = StandardScaler().set_output(transform="pandas")
pipe = make_pipeline(scaler, DANNClassifier(lambda_max=1.0, max_epochs=150, random_state=0))
pipe.fit(X_source, y_source, X_target=X_target)
TrainingCurveDisplay.from_estimator(pipe)

# %%
# Compare the domains before adaptation (columns) and after (features). Target rows are coloured by
# their true classes, which training does not use. Without ``y_target``, they are coloured by their
# predicted classes.

DomainEmbeddingDisplay.from_estimator(
    pipe, X_source, y_source, X_target, y_target=y_target, random_state=0
)
