"""skorch callbacks of our own: the progress bar, and early stopping that knows of lambda."""

from __future__ import annotations

from typing import Any

from skorch.callbacks import Callback, EarlyStopping


def check_callbacks(callbacks: Any) -> None:
    """Raise unless every item is a skorch callback, a class of one, or a pair of name and one."""
    for item in callbacks or ():
        is_pair = isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)
        callback = item[1] if is_pair else item
        is_class = isinstance(callback, type) and issubclass(callback, Callback)
        if not (isinstance(callback, Callback) or is_class):
            raise TypeError(
                f"callbacks holds {item!r}, which is no skorch callback; give instances or classes "
                "of skorch.callbacks.Callback, or pairs of a name and one."
            )


class ProgressBar(Callback):
    """One bar over the epochs, in a terminal or a notebook."""

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Open the bar."""
        from tqdm.auto import tqdm  # only here: it warns in a notebook without ipywidgets

        self.bar_ = tqdm(total=net.n_epochs_planned_, unit="epoch", leave=True)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Advance the bar and show the epoch's figures."""
        shown = ("label_loss", "valid_loss", "domain_accuracy", "lambda")
        last = net.history[-1]
        self.bar_.set_postfix({name: f"{last[name]:.3f}" for name in shown if name in last})
        self.bar_.update()

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Close the bar."""
        self.bar_.close()
        del self.bar_


class AdaptedEarlyStopping(EarlyStopping):
    """Early stopping that compares epochs only once lambda has come to nine tenths of its end.

    An epoch before that trained for another objective: the source loss is often lowest there, and
    stopping at it would undo the adaptation.
    """

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Count the epoch if it is comparable."""
        end = net.lambda_at(1.0)
        if net.is_adversarial_ and net.history[-1, "lambda"] < 0.9 * end:
            return
        super().on_epoch_end(net, **kwargs)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Take up the best epoch, if there was any."""
        if net.history:
            super().on_train_end(net, **kwargs)
