"""Display of the embedding, and texts of a legend."""

from skdann.inspection import (
    DomainEmbeddingDisplay,
    DomainShiftDisplay,
    LambdaPathDisplay,
    TrainingCurveDisplay,
)

NAMES = ["age", "dose", "weight", "height"]


def embed(estimator, domains, **params):
    X_source, y_source, X_target, _ = domains
    params = {"random_state": 0, **params}
    return DomainEmbeddingDisplay.from_estimator(estimator, X_source, y_source, X_target, **params)


def labels_of(legend):
    return [text.get_text() for text in legend.get_texts()]


DRAWERS = {
    "training": lambda model, domains: TrainingCurveDisplay.from_estimator(model),
    "embedding": embed,
    "path": lambda model, domains: LambdaPathDisplay.from_estimator(model),
    "shift": lambda model, domains: DomainShiftDisplay.from_estimator(
        model, domains[0], domains[2]
    ),
}
