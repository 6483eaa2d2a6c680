"""Progress reporting: the progress bar and scikit-learn's callbacks.

Both follow one fit, which may train several networks, and are attached to a network only during
training.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import multiprocessing
import shutil
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from skorch.callbacks import BatchScoring, Callback, LRScheduler

from skdann._training.interrupt import is_stop

AUTOMATIC_DELAY = 3.0  # seconds until verbose=None shows a bar


def check_callbacks(
    callbacks: Any, *, holds_out: bool, lr_schedule: Any, has_parts: bool = False
) -> None:
    """Raise unless each item is a skorch callback that can do its work.

    Parameters
    ----------
    callbacks : list or None
        Instances or classes of skorch callbacks, alone or in (name, callback) pairs.
    holds_out : bool
        Whether source rows are held out, which scores on validation data need.
    lr_schedule : str or callable
        Schedule of the learning rate of the estimator.
    has_parts : bool, default=False
        Whether this process sees a part of each batch, as in training over processes.

    Raises
    ------
    TypeError
        If an item is not a skorch callback.
    ValueError
        If it needs rows that are not held out or whole batches, or another schedule changes the
        learning rate too.
    """
    for item in callbacks or ():
        is_pair = isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)
        callback = item[1] if is_pair else item
        is_class = isinstance(callback, type) and issubclass(callback, Callback)
        if not (isinstance(callback, Callback) or is_class):
            raise TypeError(
                f"callbacks contains {item!r}, which is not a skorch callback; pass instances or "
                "subclasses of skorch.callbacks.Callback, or (name, callback) pairs."
            )
        kind = callback if is_class else type(callback)
        hooks = ("on_batch_begin", "on_batch_end") if has_parts else ()
        if any(getattr(kind, name) is not getattr(Callback, name) for name in hooks):
            raise ValueError(
                f"callbacks has {kind.__name__}, which looks at batches, but with distributed=True "
                "a process sees parts of them; leave it out, or set distributed=False."
            )
        name = callback.__name__ if is_class else type(callback).__name__
        if not holds_out and _needs_held_out(callback):
            raise ValueError(
                f"The callback {name} needs validation data, but no rows are held out: fit with "
                "early_stopping=True holds out source rows, and partial_fit none; or use the "
                "training rows, with on_train=True or monitor='train_loss'."
            )
        if lr_schedule != "constant" and isinstance(callback, LRScheduler):
            raise ValueError(
                f"The callback {name} and lr_schedule={lr_schedule!r} both set the learning rate; "
                "remove the callback, or set lr_schedule='constant'."
            )
        if isinstance(callback, BatchScoring) and not callback.use_caching:
            raise ValueError(
                f"The callback {name} must have use_caching=True, because a batch holds rows of "
                "both domains, but labels of the source rows only."
            )


def _needs_held_out(callback: Any) -> bool:
    """Whether a callback, or its class by default, scores or monitors validation data."""
    default = inspect.signature(callback).parameters if isinstance(callback, type) else {}
    on_train, monitor = (
        default[name].default if name in default else getattr(callback, name, None)
        for name in ("on_train", "monitor")
    )
    return on_train is False or (isinstance(monitor, str) and monitor.startswith("valid_"))


def make_bar(verbose: int | None, n_epochs: int, n_networks: int) -> ProgressBar | None:
    """Return the progress bar of a fit: None without one, or where nobody would see it."""
    if verbose == 1:
        return ProgressBar(n_epochs, n_networks)
    if verbose is None and is_watched():
        return ProgressBar(n_epochs, n_networks, is_automatic=True)
    return None


def is_watched() -> bool:
    """Whether a person sees the output: the main thread in a terminal or a notebook.

    Workers of a search inherit the terminal, but are other processes or threads.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or multiprocessing.parent_process() is not None:
        return False
    shell = sys.modules.get("IPython")
    if shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell":
        return True
    return bool(sys.stderr is not None and sys.stderr.isatty())


class ProgressBar(Callback):
    """Progress bar over the epochs of all networks of a fit, in a terminal or a notebook."""

    FORMAT = "epoch {n_fmt}/{total_fmt} |{bar}| {desc}"
    TIMES = " [{elapsed}<{remaining}]"
    LOSSES: ClassVar = {"label_loss": "label", "valid_loss": "held out", "domain_loss": "domain"}

    def __init__(self, n_epochs: int, n_networks: int, *, is_automatic: bool = False) -> None:
        with warnings.catch_warnings():  # without ipywidgets, a notebook shows the terminal's bar
            warnings.filterwarnings("ignore", message="IProgress not found")
            from tqdm.auto import tqdm
        self.n_epochs = n_epochs
        is_wide = shutil.get_terminal_size(fallback=(120, 24)).columns >= 100
        times = self.TIMES if is_wide else ""
        self.bar = tqdm(
            total=n_epochs * n_networks,
            bar_format=self.FORMAT + times,
            delay=AUTOMATIC_DELAY if is_automatic else 0,
            leave=not is_automatic,
        )

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Reset the number of remaining epochs for the next network."""
        self.n_left = self.n_epochs

    def state_dict(self) -> dict[str, Any]:
        """Return the position of the bar and the remaining epochs of the network."""
        return {"n": self.bar.n, "n_left": self.n_left}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the position of the bar."""
        self.bar.update(state["n"] - self.bar.n)
        self.n_left = state["n_left"]

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Advance the bar and show the losses of the epoch."""
        last = net.history[-1]
        shown = [f"{text} {last[name]:.2f}" for name, text in self.LOSSES.items() if name in last]
        text = f"loss: {', '.join(shown)}"  # short: a terminal may have 80 columns
        if "domain_accuracy" in last:
            text += f" (accuracy {last['domain_accuracy']:.2f}); lambda {last['lambda']:.2f}"
        self.bar.set_description_str(text, refresh=False)
        self.bar.update()
        self.n_left -= 1

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Shorten the bar if the network stopped early."""
        self.bar.total -= self.n_left
        if not self.bar.delay:  # otherwise it may not be shown yet
            self.bar.refresh()


class FitTasks(Callback):
    """Notifies scikit-learn's callbacks (version 1.9 or newer) of a fit and its epochs.

    Parameters
    ----------
    estimator : estimator
        Estimator with callbacks, set by ``set_callbacks`` or by a meta-estimator.
    n_epochs, n_networks : int
        Number of planned epochs per network, and number of networks.
    rows : dict
        "X", "y" and "metadata" passed to `fit`.
    snapshot : callable or None
        Called with a net, returns the attributes of the estimator fitted so far.
    """

    def __init__(
        self,
        estimator: Any,
        n_epochs: int,
        n_networks: int,
        rows: dict[str, Any],
        snapshot: Callable[[Any], dict[str, Any]] | None,
    ) -> None:
        self.estimator, self.rows, self.snapshot = estimator, rows, snapshot
        self.n_epochs, self.n_networks = n_epochs, n_networks
        n_subtasks = n_epochs if n_networks == 1 else n_networks
        self.fit = self._begin(estimator._init_callback_context(max_subtasks=n_subtasks))

    def _begin(self, task: Any) -> Any:
        task.call_on_fit_task_begin(estimator=self.estimator, **self.rows)
        return task

    def _end(self, task: Any, attributes: Any = None) -> bool:
        return task.call_on_fit_task_end(
            estimator=self.estimator, reconstruction_attributes=attributes, **self.rows
        )

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin the task of a network, if there are several."""
        self.network = self.fit
        if self.n_networks > 1:
            network = self.fit.subcontext(task_name="network", max_subtasks=self.n_epochs)
            self.network = self._begin(network)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin the task of an epoch."""
        self.epoch = self._begin(self.network.subcontext(task_name="epoch"))

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """End the task of an epoch, and stop training if a callback requests it."""
        attributes = self.snapshot and functools.partial(self.snapshot, net)
        if self._end(self.epoch, attributes):
            raise KeyboardInterrupt  # as skorch's callbacks do to stop training

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """End the task of a network, if there are several."""
        if self.n_networks > 1:
            self._end(self.network)

    def end(self) -> None:
        """End the task of the fit, once the estimator is fitted."""
        self._end(self.fit, {})


def report_training(members: Sequence[Any], listeners: Sequence[Callback]) -> None:
    """Notify listeners of the epochs of a network that was trained in another process.

    They cannot stop it any more. A network whose members all diverged is passed over.
    """
    nets = [member.net_ for member in members if hasattr(member, "net_")]
    for net, listener in itertools.product(nets[:1], listeners):
        listener.on_train_begin(net)
        for _ in net.history:
            listener.on_epoch_begin(net)
            try:
                listener.on_epoch_end(net)
            except KeyboardInterrupt as error:
                if not is_stop(error):
                    raise
        listener.on_train_end(net)


def as_fit_rows(X: Any, y: Any, sample_weight: Any, sample_domain: Any) -> dict[str, Any]:
    """Return what scikit-learn's callbacks get of `fit`: no rows if some are unlabelled."""
    if sample_domain is not None:
        X = y = sample_weight = None
    return {
        "X": X,
        "y": y,
        "metadata": None if sample_weight is None else {"sample_weight": sample_weight},
    }


@contextlib.contextmanager
def watch_fit(
    estimator: Any,
    n_epochs: int,
    *,
    n_networks: int = 1,
    verbose: int | None = None,
    rows: dict[str, Any] | None = None,
    snapshot: Callable[[Any], dict[str, Any]] | None = None,
) -> Iterator[list[Callback]]:
    """Report the progress of a fit; yields the listeners to pass to `listening` for each net."""
    bar = make_bar(verbose, n_epochs, n_networks)
    tasks = None
    try:
        if rows is not None and hasattr(estimator, "_skl_callbacks"):
            tasks = FitTasks(estimator, n_epochs, n_networks, rows, snapshot)
        yield [listener for listener in (tasks, bar) if listener is not None]
        if tasks is not None:
            tasks.end()
    finally:
        if bar is not None:
            bar.bar.close()


@contextlib.contextmanager
def listening(net: Any, listeners: Sequence[Callback]) -> Iterator[None]:
    """Attach callbacks to a net while it trains."""
    callbacks = net.callbacks_
    named = [(type(listener).__name__, listener) for listener in listeners]
    net.callbacks_ = [*named, *callbacks]
    try:
        yield
    finally:
        net.callbacks_ = callbacks


@contextlib.contextmanager
def watch_steps(
    pipeline: Any, X: Any, y: Any, n_steps: int
) -> Iterator[Callable[..., AbstractContextManager[None]]]:
    """Notify callbacks of a pipeline's fit; yields a context manager to enter for each step."""
    if not hasattr(pipeline, "_init_callback_context"):  # scikit-learn before 1.9
        yield lambda *step: contextlib.nullcontext()
        return
    fit = pipeline._init_callback_context(max_subtasks=n_steps)
    fit.call_on_fit_task_begin(estimator=pipeline, X=X, y=y)
    yield functools.partial(_watch_step, pipeline, fit)
    fit.call_on_fit_task_end(estimator=pipeline, X=X, y=y)


@contextlib.contextmanager
def _watch_step(
    pipeline: Any, fit: Any, name: str, estimator: Any, X: Any, y: Any
) -> Iterator[None]:
    """Propagate the pipeline's callbacks to one of its estimators while that is fitted."""
    step = fit.subcontext(task_name=name)
    with step.propagate_callback_context(estimator):
        step.call_on_fit_task_begin(estimator=pipeline, X=X, y=y)
        yield
        step.call_on_fit_task_end(estimator=pipeline, X=X, y=y)
