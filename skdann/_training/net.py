"""The training engine: a skorch net whose step is domain-adversarial.

skorch drives the epochs: history, callbacks, checkpoints, printing. The step itself, in `_steps`,
neither waits for the device nor notifies callbacks that do not listen.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from skorch.callbacks import Callback, EpochTimer, PrintLog
from skorch.dataset import Dataset
from skorch.history import History
from torch import Tensor
from torch.nn import functional as F

from skdann._input.domains import DomainData
from skdann._training.analytic import ByHand
from skdann._training.batches import DomainBatches
from skdann._training.inference import infer_blocks
from skdann._training.losses import EpochSums, Outputs
from skdann._training.randomness import spawn_generators
from skdann._training.schedules import LAMBDA_SCHEDULES, LR_SCHEDULES, evaluate_schedule
from skdann._training.snapshot import Mark
from skdann._training.step import AdversarialSteps
from skdann._training.threads import suited_threads
from skdann.nn import MemberBatchNorm

DIVERGED = (
    "training diverged. Scale the columns (skdann.make_pipeline(StandardScaler(), ...)), or lower "
    "lr, lambda_max, domain_loss_weight or weight_decay, and check feature_extractor, "
    "label_predictor and domain_classifier where they are modules of your own."
)


class FitData(NamedTuple):
    """What one call to the net trains on.

    Attributes
    ----------
    data : DomainData
        The checked rows.
    train : ndarray of int of shape (n_train,) or (n_members, n_train)
        Numbers of the source rows to train on.
    valid : ndarray of int of shape (n_valid,)
        Numbers of those held out for early stopping.
    class_weight : ndarray of shape (n_classes,) or None
        Weights of the classes in the label loss.
    """

    data: DomainData
    train: np.ndarray
    valid: np.ndarray
    class_weight: np.ndarray | None


class EpochHistory(History):
    """skorch's history, of which an epoch costs the same however many came before."""

    def __getitem__(self, key: Any) -> Any:
        """Return rows by their numbers without a copy of all, and anything else as skorch does."""
        if isinstance(key, int | slice):
            return list.__getitem__(self, key)
        return super().__getitem__(key)

    def record_with_best(self, name: str, value: float) -> None:
        """Record a value, and whether it is the least so far, as skorch's Checkpoint wants it."""
        least = math.inf
        for row in itertools.islice(reversed(self), 1, None):
            least = min(least, row.get(name, math.inf))
            if row.get(f"{name}_best"):  # the least of all up to there
                break
        self.record(name, value)
        self.record(f"{name}_best", value < least)


class DANNNet(AdversarialSteps):
    """skorch net of domain-adversarial training, owned by the estimators.

    Parameters
    ----------
    module : callable
        Builds the :class:`skdann.nn.DANNModule`.
    seeds : tuple of int
        From which all randomness comes, one a member.
    lambda_max : float or tuple of float
        The coefficient that lambda ends at, of all members or of each.
    lambda_schedule, lr_schedule, domain_loss_weight, label_smoothing, domain_label_smoothing, \
adversarial, domain_steps
        As in :class:`skdann.DANNClassifier`.
    has_user_modules : bool
        Whether torch's global generator must be seeded for modules that draw from it.
    n_domains, n_targets : int
        Domains in all, and targets among them.
    **kwargs
        Of skorch's NeuralNet.
    """

    # copied and pickled together with the modules, which draw from the same generators
    cuda_dependent_attributes_: ClassVar = ["generators_"]

    def __init__(
        self,
        module: Callable[..., torch.nn.Module],
        *,
        seeds: tuple[int, ...],
        n_domains: int,
        n_targets: int,
        lambda_max: float | tuple[float, ...] = 1.0,
        lambda_schedule: Any = "dann",
        lr_schedule: Any = "constant",
        domain_loss_weight: float = 1.0,
        label_smoothing: float = 0.0,
        domain_label_smoothing: float = 0.0,
        adversarial: str = "grl",
        domain_steps: int = 1,
        has_user_modules: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            module,
            criterion=torch.nn.CrossEntropyLoss,
            train_split=None,
            predict_nonlinearity=_softmax,
            history=EpochHistory(),
            **kwargs,
        )
        self.seeds = seeds
        self.n_domains, self.n_targets = n_domains, n_targets
        self.lambda_max, self.lambda_schedule = lambda_max, lambda_schedule
        self.lr_schedule = lr_schedule
        self.domain_loss_weight = domain_loss_weight
        self.label_smoothing, self.domain_label_smoothing = label_smoothing, domain_label_smoothing
        self.adversarial, self.domain_steps = adversarial, domain_steps
        self.has_user_modules = has_user_modules

    # -- set-up ---------------------------------------------------------------------------------

    @property
    def history(self) -> EpochHistory:
        """A row an epoch; what skorch loads from a file becomes one of ours."""
        return self.history_

    @history.setter
    def history(self, rows: History) -> None:
        self.history_ = EpochHistory(rows)

    def get_default_callbacks(self) -> list[tuple[str, Any]]:
        """Time the epochs; with a `verbose` of 2, print a line for each."""
        callbacks: list[tuple[str, Any]] = [("epoch_timer", EpochTimer())]
        if self.verbose > 1:
            callbacks.append(("print_log", PrintLog()))
        return callbacks

    def initialize_module(self) -> DANNNet:
        """Build the networks, each from a generator of its own."""
        self.generators_ = [spawn_generators(seed) for seed in self.seeds]
        with self._user_generators():
            kwargs = self.get_params_for("module")
            self.module_ = self.module(generators=self.generators_, **kwargs)
        self.n_epochs_done_ = 0
        self.member_history_: list[dict[str, np.ndarray]] = []
        return self

    def measure_columns(self, fit_data: FitData) -> None:
        """Take the statistics by which the columns are standardised from the rows to train on."""
        standardizer = getattr(self.module_, "standardizer", None)
        if standardizer is None:
            return
        data, n_source = fit_data.data, fit_data.data.n_source
        for member, own in enumerate(np.atleast_2d(fit_data.train)):
            rows = np.concatenate([own, np.arange(n_source, len(data.domain))])
            standardizer.measure(member, data.X[rows], data.domain[rows])

    @contextlib.contextmanager
    def _user_generators(self) -> Iterator[None]:
        """Give the user's modules a torch generator seeded by us, and put the caller's back."""
        if not self.has_user_modules:
            yield
            return
        device = torch.device(self.device)
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            seed = int(torch.randint(2**62, (), generator=self.generators_[0]["user_modules"]))
            torch.default_generator.manual_seed(seed)
            for own in devices:
                with torch.cuda.device(own):
                    torch.cuda.manual_seed(seed)
            yield

    # -- schedules ------------------------------------------------------------------------------

    def lambda_at(self, progress: float) -> Any:
        """Return the coefficient lambda at progress p: a float, or a tensor (n_members, 1, 1)."""
        factor = evaluate_schedule(
            "lambda_schedule", self.lambda_schedule, LAMBDA_SCHEDULES, progress
        )
        if self.n_members == 1:
            return float(np.max(self.lambda_max)) * factor
        return factor * self.lambda_ends_

    @property
    def n_members(self) -> int:
        """Number of independent copies of the networks."""
        return len(self.seeds)

    def lr_at(self, progress: float) -> float:
        """Return the learning rate at progress p."""
        return self.lr * evaluate_schedule("lr_schedule", self.lr_schedule, LR_SCHEDULES, progress)

    # -- the loop -------------------------------------------------------------------------------

    def fit_loop(
        self,
        X: FitData,
        y: None = None,
        epochs: int | None = None,
        checkpoint: Any = None,
        **_: Any,
    ) -> DANNNet:
        """Train for `epochs` epochs, going on from a checkpoint; an interrupt drops its epoch."""
        batches = self._batches(X)
        self.is_adversarial_ = self.n_targets > 0 and bool(np.max(self.lambda_max) > 0)
        self.lambda_ends_ = torch.tensor(self.lambda_max, device=self.device).view(-1, 1, 1)
        self.keeps_domains_apart_ = self.n_domains > 1 and any(
            isinstance(layer, MemberBatchNorm) and layer.n_domains > 1
            for layer in self.module_.modules()
        )
        valid, valid_domain = self._held_out(X)
        on_epoch = {"dataset_train": None, "dataset_valid": valid}
        n_epochs = self.max_epochs if epochs is None else epochs
        mark, is_marked = Mark(), False
        self.is_broken_off_ = True
        try:
            n_products = 2 * batches.max_size * self._count_weights()
            with self._user_generators(), suited_threads(n_products):
                n_done = checkpoint.resume(self, X, batches) if checkpoint else 0
                for _epoch in range(n_done, n_epochs):
                    self.is_broken_off_ = True
                    mark.take(self)
                    is_marked = True
                    if checkpoint:
                        checkpoint.save(self, batches)
                    self.notify("on_epoch_begin", **on_epoch)
                    self.run_single_epoch(batches, True, "train", self.train_step)
                    self._validate(valid, valid_domain)
                    self.n_epochs_done_ += 1
                    is_marked = False
                    self.is_broken_off_ = False  # a callback may end training here
                    self.notify("on_epoch_end", **on_epoch)
        except KeyboardInterrupt:
            if is_marked:
                mark.put_back(self)
            raise
        return self

    def _count_weights(self) -> int:
        return sum(parameter.numel() for parameter in self.module_.parameters())

    def _batches(self, fit_data: FitData) -> DomainBatches:
        data = fit_data.data
        return DomainBatches(
            data.X,
            data.y,
            data.domain,
            n_domains=self.n_domains,
            n_targets=self.n_targets,
            source_rows=fit_data.train,
            sample_weight=data.weight,
            class_weight=fit_data.class_weight,
            batch_size=self.batch_size,
            generators=self.generators_,
            device=self.device,
        )

    def run_single_epoch(
        self,
        iterator: DomainBatches,
        training: bool,
        prefix: str,
        step_fn: Callable[..., Outputs],
    ) -> None:
        """Train on every batch and record the epoch's means."""
        if not self.module_.training:
            self._set_training(True)
        is_heard = self._has_listener("on_batch_begin", "on_batch_end")
        self.is_gradient_heard_ = self._has_listener("on_grad_computed")
        by_hand = self._by_hand()
        n_steps = iterator.n_steps
        stays_sparse = by_hand is not None and by_hand.takes_sparse and iterator.is_thin
        stays_sparse = stays_sparse and not (is_heard or self.is_gradient_heard_)
        sums = EpochSums(self.label_smoothing, self.domain_label_smoothing)
        for index, batch in enumerate(iterator.epoch(stays_sparse=stays_sparse)):
            progress = min(1.0, (self.n_epochs_done_ + index / n_steps) / self.max_epochs)
            if is_heard:
                self.notify("on_batch_begin", batch=(batch.x, batch.y), training=training)
            lambda_ = self._set_progress(progress)
            try:
                outputs = step_fn(batch, lambda_=lambda_, by_hand=by_hand)
            except Exception as error:
                if not self.has_user_modules:
                    raise
                raise ValueError(
                    f"A step on {batch.rows.n_source} source rows failed "
                    f"({type(error).__name__}: {error}); check feature_extractor, label_predictor "
                    "and domain_classifier, the modules of your own, or change batch_size."
                ) from error
            sums.add(outputs)
            if is_heard:
                loss, logits = self._loss_of(outputs), outputs.logits
                logits = logits.squeeze(0) if self.n_members == 1 else logits
                self.history.record_batch(f"{prefix}_loss", loss.item())
                self._notify_batch_end(batch.x, batch.y, loss, logits, training)
        self._record_epoch(prefix, sums.means(), lambda_, n_steps)
        if not is_heard:  # skorch's Checkpoint reads the last batch of an epoch
            self.history.new_batch()
            self.history.record_batch(f"{prefix}_loss", self.history[-1][f"{prefix}_loss"])

    def _by_hand(self) -> ByHand | None:
        """Rules for the gradients of these networks, if all of their layers have one."""
        if self.adversarial == "alternating" and self.is_adversarial_:
            return None
        return ByHand.of(
            self.module_,
            label_smoothing=self.label_smoothing,
            domain_label_smoothing=self.domain_label_smoothing,
            domain_loss_weight=self.domain_loss_weight,
        )

    def _has_listener(self, *names: str) -> bool:
        return any(
            getattr(type(callback), name) is not getattr(Callback, name)
            for _, callback in self.callbacks_
            for name in names
        )

    def _notify_batch_end(
        self, x: Any, y: Any, loss: Tensor, logits: Tensor, training: bool
    ) -> None:
        self.notify("on_batch_end", batch=(x, y), training=training, loss=loss, y_pred=logits)

    def on_batch_begin(
        self, net: DANNNet, batch: Any = None, training: bool = False, **_: Any
    ) -> None:
        """Open a batch row of the history, for callbacks that read it."""
        self.history.new_batch()

    def _set_progress(self, progress: float) -> float:
        """Set the learning rate, unless it is constant, and return lambda."""
        if self.lr_schedule != "constant":
            for group in self.optimizer_.param_groups:
                group["lr"] = self.lr_at(progress)
        return self.lambda_at(progress) if self.is_adversarial_ else 0.0

    def _record_epoch(self, prefix: str, means: dict[str, Any], lambda_: Any, n_steps: int) -> None:
        """Record the epoch: means over the members, and in `member_history_` those of each."""
        loss = means["label_loss"] + self.domain_loss_weight * means.get("domain_loss", 0.0)
        epoch = len(self.history)
        if not np.isfinite(loss).any():
            raise ValueError(f"The loss became {np.mean(loss)} in epoch {epoch}: {DIVERGED}")
        lr = self.optimizer_.param_groups[0]["lr"]
        if self.n_members > 1:
            of_each = torch.as_tensor(lambda_, dtype=torch.float64).cpu().numpy().ravel()
            own = {f"{prefix}_loss": loss, **means, "lambda": of_each, "lr": lr}
            self.member_history_.append(
                {name: np.full(self.n_members, value, float) for name, value in own.items()}
            )
            means = {name: _mean(value) for name, value in means.items()}
            lambda_ = float(of_each.max())
        self.history.record_with_best(f"{prefix}_loss", _mean(loss))
        rest = {"lambda": lambda_, "lr": lr, f"{prefix}_batch_count": n_steps}
        self.history[-1].update(means | rest)

    def check_outcome(self, data: DomainData) -> None:
        """Raise unless weights, running statistics, and outputs for some rows are finite."""
        module = self.module_
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if not bool(torch.isfinite(value).all()):
                raise ValueError(
                    f"The weights {name} are no longer finite after epoch {len(self.history)}: "
                    f"{DIVERGED}"
                )
        for rows in (slice(0, 32), slice(-32, None)):  # source, and target where there is one
            (logits,) = self.infer_blocks(data.X[rows], data.domain[rows], "labels")
            if not np.isfinite(logits).all():
                raise ValueError(
                    f"The outputs are not finite after epoch {len(self.history)}: {DIVERGED}"
                )

    def give_member(self, member: int, net: DANNNet) -> DANNNet:
        """Copy one member's networks, optimiser, generators and history into a net of its own."""

        def own(value: Any) -> Any:
            is_stacked = isinstance(value, Tensor) and value.dim() > 0
            return value[member : member + 1].clone() if is_stacked else copy.copy(value)

        stacked = self.module_.state_dict()
        net.module_.load_state_dict({name: own(stacked[name]) for name in net.module_.state_dict()})
        state = self.optimizer_.state_dict()["state"]
        groups = net.optimizer_.state_dict()["param_groups"]
        slots = {
            index: {name: own(value) for name, value in slot.items()}
            for index, slot in state.items()
        }
        net.optimizer_.load_state_dict({"state": slots, "param_groups": groups})
        for name, generator in net.generators_[0].items():
            generator.set_state(self.generators_[member][name].get_state())
        net.n_epochs_done_ = self.n_epochs_done_
        for row, figures in zip(self.history, self.member_history_, strict=True):
            figures_ = {name: float(value[member]) for name, value in figures.items()}
            net.history.append(
                {
                    "batches": [],
                    "epoch": row["epoch"],
                    **figures_,
                    "dur": row["dur"] / self.n_members,
                }
            )
        return net

    # -- held-out rows --------------------------------------------------------------------------

    def _held_out(self, fit_data: FitData) -> tuple[Dataset | None, np.ndarray | None]:
        """Held-out source rows, and their domains."""
        rows = fit_data.valid
        if not len(rows):
            return None, None
        data = fit_data.data
        return Dataset(data.X[rows], data.y[rows]), data.domain[rows]

    def _validate(self, valid: Dataset | None, domain: np.ndarray | None) -> None:
        """Record mean cross-entropy and accuracy of the held-out source rows."""
        if valid is None:
            return
        self._set_training(False)
        logits = torch.from_numpy(np.vstack(list(self.infer_blocks(valid.X, domain, "labels"))))
        y = torch.from_numpy(valid.y)
        loss = F.cross_entropy(logits, y)
        if self._has_listener("on_batch_begin", "on_batch_end"):
            self.notify("on_batch_begin", batch=(valid.X, y), training=False)
            self.history.record_batch("valid_loss", float(loss))
            self._notify_batch_end(valid.X, y, loss, logits, False)
        self.history.record_with_best("valid_loss", float(loss))
        self.history.record("valid_accuracy", float((logits.argmax(1) == y).float().mean()))

    # -- inference ------------------------------------------------------------------------------

    def infer(self, x: Tensor, **_: Any) -> Tensor:
        """Class logits of one batch, for skorch's own scoring callbacks."""
        return self.module_(x.to(self.device))

    def infer_blocks(self, X: Any, domain: np.ndarray | None, what: str) -> Iterator[np.ndarray]:
        """Yield features, class logits or domain logits of `X`, block by block."""
        return infer_blocks(self.module_, X, domain, what, n_domains=self.n_domains)


def _mean(values: Any) -> float:
    """Mean over the members that have not diverged."""
    return float(values) if np.size(values) == 1 else float(np.nanmean(values))


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(-1)
