"""Early stopping on held-out source rows."""

from __future__ import annotations

from typing import Any

from skorch.callbacks import EarlyStopping


class AdaptedEarlyStopping(EarlyStopping):
    """Early stopping that ignores epochs before the objective has its final form.

    That is before lambda reaches nine tenths of its final value, and before the first
    pseudo-labels. Earlier epochs minimize a different objective. The source loss is often lowest
    there, and restoring such an epoch would undo the adaptation.
    """

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Count the epoch if it is comparable."""
        final = net.lambda_at(1.0)
        if net.is_adversarial and net.history[-1, "lambda"] < 0.9 * final:
            return
        if net.waits_for_labels:
            return
        super().on_epoch_end(net, **kwargs)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Restore the weights of the best epoch, if any epoch was completed."""
        if net.history:
            super().on_train_end(net, **kwargs)

    def state_dict(self) -> dict[str, Any]:
        """Return the counts, the threshold and the best weights so far."""
        best = self.best_model_weights_ or {}
        plain = (self.misses_, float(self.dynamic_threshold_), self.best_epoch_)
        return {"plain": list(plain), **{f"best.{name}": value for name, value in best.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state returned by :meth:`state_dict`."""
        self.misses_, self.dynamic_threshold_, self.best_epoch_ = state.pop("plain")
        best = {name.removeprefix("best."): value for name, value in state.items()}
        self.best_model_weights_ = best or None
