"""Early stopping on held-out source rows."""

from __future__ import annotations

from typing import Any

from skorch.callbacks import EarlyStopping


class AdaptedEarlyStopping(EarlyStopping):
    """Early stopping that compares epochs only once lambda has come to nine tenths of its end.

    An epoch before that trained for another objective: the source loss is often lowest there, and
    stopping at it would undo the adaptation.
    """

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Count the epoch if it is comparable."""
        end = net.lambda_at(1.0)
        if net.is_adversarial and net.history[-1, "lambda"] < 0.9 * end:
            return
        super().on_epoch_end(net, **kwargs)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Take up the best epoch, if there was any."""
        if net.history:
            super().on_train_end(net, **kwargs)

    def state_dict(self) -> dict[str, Any]:
        """Return what the next epochs are compared with: counts, and the best weights."""
        best = self.best_model_weights_ or {}
        plain = (self.misses_, float(self.dynamic_threshold_), self.best_epoch_)
        return {"plain": list(plain), **{f"best.{name}": value for name, value in best.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`state_dict` gave."""
        self.misses_, self.dynamic_threshold_, self.best_epoch_ = state.pop("plain")
        best = {name.removeprefix("best."): value for name, value in state.items()}
        self.best_model_weights_ = best or None
