r"""The training engine: a skorch net whose step is domain-adversarial.

A step minimises over the feature extractor :math:`G_f` and label predictor :math:`G_y`, and at once
over the domain classifier :math:`G_d`, through the gradient reversal layer:

.. math::

    \theta_f &\leftarrow \theta_f - \mu (\partial L_y / \partial \theta_f
        - \lambda \, \partial L_d / \partial \theta_f) \\
    \theta_y &\leftarrow \theta_y - \mu \, \partial L_y / \partial \theta_y \\
    \theta_d &\leftarrow \theta_d - \mu \, \partial L_d / \partial \theta_d

(Ganin and Lempitsky, ICML 2015, equations 4-6; Ganin et al., JMLR 2016, Algorithm 1, with lambda
fixed to 1 in the update of :math:`G_d`, as their section 5.2.2 does.) :math:`L_y` is the mean
cross-entropy of the source rows, :math:`L_d` the sum of the domains' mean cross-entropies.

skorch drives the epochs: history, callbacks, checkpoints, printing. The step itself neither waits
for the device nor notifies callbacks that do not listen.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, EpochTimer, PrintLog
from skorch.dataset import Dataset
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from skdann._batches import Batch, DomainBatches
from skdann._schedules import LAMBDA_SCHEDULES, LR_SCHEDULES, evaluate_schedule
from skdann._validation import DomainData
from skdann.nn import Rows, gradient_reversal

OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "adam": (torch.optim.Adam, {"fused": True}),
    "adamw": (torch.optim.AdamW, {"fused": True}),
    "rmsprop": (torch.optim.RMSprop, {}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "fused": True}),
}

STREAMS = (
    "feature_extractor",
    "label_predictor",
    "domain_classifier",
    "source_dropout",
    "target_dropout",
    "source_order",
    "target_order",
    "validation",
    "user_modules",
)

BLOCK_ROWS = 4096
ROW_MULTIPLE = 64
FLUSH_STEPS = 256
PRODUCTS_PER_THREAD = 2e8


def spawn_generators(seed: int) -> dict[str, torch.Generator]:
    """One independent generator for each use of randomness, all from one seed."""
    seeds = np.random.SeedSequence(seed).generate_state(len(STREAMS), np.uint64) >> 1
    return {
        name: torch.Generator().manual_seed(int(own))
        for name, own in zip(STREAMS, seeds, strict=True)
    }


@contextlib.contextmanager
def suited_threads(n_products: float) -> Iterator[None]:
    """Compute on one thread where a step is small, and give the caller's threads back.

    Waiting for one another costs threads more than they gain below about `PRODUCTS_PER_THREAD`
    multiplications a step, ten times more where cores are busy. One thread also gives equal bits
    wherever the fit runs. Never more threads than the caller allows.
    """
    allowed = torch.get_num_threads()
    wanted = 1 if n_products < PRODUCTS_PER_THREAD else allowed
    if wanted == allowed:
        yield
        return
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(allowed)


class FitData(NamedTuple):
    """What one call to the net trains on.

    Attributes
    ----------
    data : DomainData
        The checked rows.
    train, valid : ndarray of int
        Numbers of the source rows to train on, and of those held out.
    class_weight : ndarray of shape (n_classes,) or None
        Weights of the classes in the label loss.
    """

    data: DomainData
    train: np.ndarray
    valid: np.ndarray
    class_weight: np.ndarray | None


class _StepRecord(NamedTuple):
    """What a step leaves for the epoch's record; nothing here waits for the device."""

    label_loss: Tensor
    domain_loss: Tensor | None
    is_domain_hit: Tensor | None


class ProgressBar(Callback):
    """One bar over the epochs, in a terminal or a notebook."""

    def on_train_begin(self, net: DANNNet, **kwargs: Any) -> None:
        """Open the bar."""
        self.bar_ = tqdm(total=net.n_epochs_planned_, unit="epoch", leave=True)

    def on_epoch_end(self, net: DANNNet, **kwargs: Any) -> None:
        """Advance the bar and show the epoch's figures."""
        shown = ("label_loss", "valid_loss", "domain_accuracy", "lambda")
        last = net.history[-1]
        self.bar_.set_postfix({name: f"{last[name]:.3f}" for name in shown if name in last})
        self.bar_.update()

    def on_train_end(self, net: DANNNet, **kwargs: Any) -> None:
        """Close the bar."""
        self.bar_.close()
        del self.bar_


class AdaptedEarlyStopping(EarlyStopping):
    """Early stopping that compares epochs only once lambda has come to nine tenths of its end.

    An epoch before that trained for another objective: the source loss is often lowest there, and
    stopping at it would undo the adaptation.
    """

    def on_epoch_end(self, net: DANNNet, **kwargs: Any) -> None:
        """Count the epoch if it is comparable."""
        end = net.lambda_at(1.0)
        if net.is_adversarial_ and net.history[-1, "lambda"] < 0.9 * end:
            return
        super().on_epoch_end(net, **kwargs)


class DANNNet(NeuralNet):
    """skorch net of domain-adversarial training, owned by the estimators.

    Parameters
    ----------
    module : callable
        Builds the :class:`skdann.nn.DANNModule`.
    seed : int
        From which all randomness comes.
    lambda_max, lambda_schedule, lr_schedule, domain_loss_weight, label_smoothing, \
domain_label_smoothing, adversarial, domain_steps
        As in :class:`skdann.DANNClassifier`.
    has_user_modules : bool
        Whether torch's global generator must be seeded for modules that draw from it.
    n_domains, n_targets : int
        Domains in all, and targets among them.
    **kwargs
        Of skorch's NeuralNet.
    """

    def __init__(
        self,
        module: Callable[..., torch.nn.Module],
        *,
        seed: int,
        n_domains: int,
        n_targets: int,
        lambda_max: float = 1.0,
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
            **kwargs,
        )
        self.seed = seed
        self.n_domains, self.n_targets = n_domains, n_targets
        self.lambda_max, self.lambda_schedule = lambda_max, lambda_schedule
        self.lr_schedule = lr_schedule
        self.domain_loss_weight = domain_loss_weight
        self.label_smoothing, self.domain_label_smoothing = label_smoothing, domain_label_smoothing
        self.adversarial, self.domain_steps = adversarial, domain_steps
        self.has_user_modules = has_user_modules

    # -- set-up ---------------------------------------------------------------------------------

    def get_default_callbacks(self) -> list[tuple[str, Any]]:
        """Time the epochs; show them as `verbose` asks."""
        callbacks: list[tuple[str, Any]] = [("epoch_timer", EpochTimer())]
        if self.verbose == 1:
            callbacks.append(("progress_bar", ProgressBar()))
        elif self.verbose > 1:
            callbacks.append(("print_log", PrintLog()))
        return callbacks

    def initialize_module(self) -> DANNNet:
        """Build the networks, each from a generator of its own."""
        self.generators_ = [spawn_generators(self.seed)]
        with self._user_generators():
            kwargs = self.get_params_for("module")
            self.module_ = self.module(generators=self.generators_, **kwargs)
        self.n_epochs_done_ = 0
        return self

    @contextlib.contextmanager
    def _user_generators(self) -> Iterator[None]:
        """Give the user's modules a torch generator seeded by us, and put the caller's back."""
        if not self.has_user_modules:
            yield
            return
        device = torch.device(self.device)
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            stream = self.generators_[0]["user_modules"]
            torch.manual_seed(int(torch.randint(2**62, (), generator=stream)))
            yield

    # -- schedules ------------------------------------------------------------------------------

    def lambda_at(self, progress: float) -> float:
        """Return the coefficient lambda at progress p."""
        factor = evaluate_schedule(
            "lambda_schedule", self.lambda_schedule, LAMBDA_SCHEDULES, progress
        )
        return self.lambda_max * factor

    def lr_at(self, progress: float) -> float:
        """Return the learning rate at progress p."""
        return self.lr * evaluate_schedule("lr_schedule", self.lr_schedule, LR_SCHEDULES, progress)

    # -- the loop -------------------------------------------------------------------------------

    def fit_loop(self, X: FitData, y: None = None, epochs: int | None = None, **_: Any) -> DANNNet:
        """Train for `epochs` epochs; an interrupt drops the epoch it breaks off from history."""
        batches = self._batches(X)
        self.is_adversarial_ = self.n_targets > 0 and self.lambda_max > 0
        valid = self._valid_dataset(X)
        on_epoch = {"dataset_train": None, "dataset_valid": valid}
        n_whole = len(self.history)
        try:
            n_products = 2 * batches.max_size * self._count_weights()
            with self._user_generators(), suited_threads(n_products):
                for _epoch in range(self.max_epochs if epochs is None else epochs):
                    self.notify("on_epoch_begin", **on_epoch)
                    self.run_single_epoch(
                        batches.epoch(), True, "train", self.train_step, n_steps=batches.n_steps
                    )
                    self._validate(valid)
                    self.n_epochs_done_ += 1
                    n_whole += 1
                    self.notify("on_epoch_end", **on_epoch)
        except KeyboardInterrupt:
            del self.history[n_whole:]
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
        iterator: Iterator[Batch],
        training: bool,
        prefix: str,
        step_fn: Callable[..., dict[str, Any]],
        *,
        n_steps: int,
    ) -> None:
        """Train on every batch and record the epoch's means."""
        self._set_training(True)
        is_heard = {name: self._has_listener(name) for name in ("on_batch_begin", "on_batch_end")}
        sums = _EpochSums()
        for index, batch in enumerate(iterator):
            progress = min(1.0, (self.n_epochs_done_ + index / n_steps) / self.max_epochs)
            if is_heard["on_batch_begin"]:
                self.notify("on_batch_begin", batch=(batch.x, batch.y), training=training)
            lambda_ = self._set_progress(progress)
            step = step_fn(batch, lambda_=lambda_)
            sums.add(step["record"])
            if is_heard["on_batch_end"]:
                self.history.record_batch(f"{prefix}_loss", step["loss"].item())
                self.notify("on_batch_end", batch=(batch.x, batch.y), training=training, **step)
        self._record_epoch(prefix, sums.means(), lambda_, n_steps)

    def _has_listener(self, name: str) -> bool:
        return any(
            getattr(type(cb), name) is not getattr(Callback, name) for _, cb in self.callbacks_
        )

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

    def _record_epoch(
        self, prefix: str, means: dict[str, float], lambda_: float, n_steps: int
    ) -> None:
        loss = means["label_loss"] + self.domain_loss_weight * means.get("domain_loss", 0.0)
        epoch = len(self.history)
        if not math.isfinite(loss):
            raise ValueError(
                f"The loss became {loss} in epoch {epoch}: training diverged. Scale the columns "
                "(skdann.make_pipeline(StandardScaler(), ...)), or lower lr or lambda_max."
            )
        self._record_with_best(f"{prefix}_loss", loss)
        for name, value in means.items():
            self.history.record(name, value)
        self.history.record("lambda", lambda_)
        self.history.record("lr", self.optimizer_.param_groups[0]["lr"])
        self.history.record(f"{prefix}_batch_count", n_steps)

    def _record_with_best(self, name: str, value: float) -> None:
        """Record a value, and whether it is the least so far, as skorch's Checkpoint wants it."""
        earlier = [row[name] for row in self.history[:-1] if name in row]
        self.history.record(name, value)
        self.history.record(f"{name}_best", value < min(earlier, default=math.inf))

    def check_weights(self) -> None:
        """Raise if training left any weight that is not finite."""
        for name, parameter in self.module_.named_parameters():
            if not bool(torch.isfinite(parameter).all()):
                raise ValueError(
                    f"The weights {name} are no longer finite after epoch {len(self.history)}: "
                    "training diverged. Scale the columns "
                    "(skdann.make_pipeline(StandardScaler(), ...)), or lower lr or lambda_max."
                )

    # -- the step -------------------------------------------------------------------------------

    def train_step(self, batch: Batch, *, lambda_: float = 0.0, **_: Any) -> dict[str, Any]:
        """Take one step of the optimiser on one batch."""
        if self.adversarial == "alternating" and self.is_adversarial_:
            return self._alternating_step(batch, lambda_)
        result: dict[str, Any] = {}

        def closure() -> Tensor:
            self.optimizer_.zero_grad(set_to_none=True)
            loss, logits, record = self._losses(batch, lambda_)
            loss.backward()
            self._notify_gradients(batch)
            result.update(loss=loss.detach(), y_pred=logits.detach(), record=record)
            return loss

        self.optimizer_.step(closure)
        return result

    def _losses(self, batch: Batch, lambda_: float) -> tuple[Tensor, Tensor, _StepRecord]:
        """Return the loss to differentiate, the class logits, and what to record.

        Without adversary the label loss sees the source rows alone, so that a fit with lambda 0 is
        the source-only fit, bit for bit. Statistics of each domain apart need all rows regardless.
        """
        if not self.n_targets:
            features = self.module_.extract_features(batch.x, batch.rows)
            label_loss, logits = self._label_loss(features, batch)
            return label_loss, logits, _StepRecord(label_loss.detach(), None, None)
        if self.is_adversarial_ or self._keeps_domains_apart:
            features = self.module_.extract_features(batch.x, batch.rows)
            label_loss, logits = self._label_loss(features, batch)
            seen = gradient_reversal(self.module_.condition(features, batch.rows), lambda_)
        else:
            n_source = batch.rows.n_source
            source = self.module_.extract_features(batch.x[..., :n_source, :], _source(batch.rows))
            label_loss, logits = self._label_loss(source, batch)
            seen = self._features_at_rest(batch)
        domain_loss, is_hit = self._domain_loss(seen, batch)
        loss = label_loss + self.domain_loss_weight * domain_loss
        return loss, logits, _StepRecord(label_loss.detach(), domain_loss.detach(), is_hit)

    @property
    def _keeps_domains_apart(self) -> bool:
        return any(getattr(layer, "n_domains", 1) > 1 for layer in self.module_.modules())

    def _features_at_rest(self, batch: Batch) -> Tensor:
        """What G_d sees of all rows, with G_f and G_y neither trained nor touched."""
        self._set_training(False)
        with torch.no_grad():
            features = self.module_.extract_features(batch.x, batch.rows)
            seen = self.module_.condition(features, batch.rows)
        self._set_training(True)
        return seen

    def _label_loss(self, features: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean weighted cross-entropy of the source rows, summed over members, and the logits."""
        rows = _source(batch.rows)
        logits = self.module_.predict_labels(features[..., : rows.n_source, :], rows)
        losses = F.cross_entropy(
            logits.flatten(0, -2),
            batch.y.flatten(),
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        return torch.dot(losses, batch.label_weight.flatten()), logits

    def _domain_loss(self, seen: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Sum of the domains' mean cross-entropies, and which rows G_d names rightly."""
        logits = self.module_.classify_domains(seen, batch.rows).flatten(0, -2)
        domain = batch.rows.domain.flatten()  # type: ignore[union-attr]
        if logits.shape[-1] == 1:
            logit = logits.squeeze(-1)
            wanted = domain.to(logit.dtype)
            smoothing = self.domain_label_smoothing
            if smoothing:
                wanted = wanted * (1.0 - smoothing) + smoothing / 2.0
            losses = F.binary_cross_entropy_with_logits(logit, wanted, reduction="none")
            is_hit = (logit.detach() > 0) == (domain > 0)
        else:
            losses = F.cross_entropy(
                logits, domain, reduction="none", label_smoothing=self.domain_label_smoothing
            )
            is_hit = logits.detach().argmax(-1) == domain
        return torch.dot(losses, batch.domain_weight.flatten()), is_hit

    def _alternating_step(self, batch: Batch, lambda_: float) -> dict[str, Any]:
        """Take `domain_steps` steps of G_d on this batch, then one of G_f and G_y against it."""
        features = self.module_.extract_features(batch.x, batch.rows)
        seen = self.module_.condition(features, batch.rows)
        for _ in range(self.domain_steps):
            self.optimizer_.zero_grad(set_to_none=True)
            domain_loss, is_hit = self._domain_loss(seen.detach(), batch)
            (self.domain_loss_weight * domain_loss).backward()
            self.optimizer_.step()
        self.optimizer_.zero_grad(set_to_none=True)
        label_loss, logits = self._label_loss(features, batch)
        adversary, _ = self._domain_loss(gradient_reversal(seen, lambda_), batch)
        loss = label_loss + self.domain_loss_weight * adversary
        loss.backward()
        for parameter in self.module_.domain_classifier.parameters():
            parameter.grad = None
        self._notify_gradients(batch)
        self.optimizer_.step()
        record = _StepRecord(label_loss.detach(), domain_loss.detach(), is_hit)
        return {"loss": loss.detach(), "y_pred": logits.detach(), "record": record}

    def _notify_gradients(self, batch: Batch) -> None:
        if self._has_listener("on_grad_computed"):
            self.notify(
                "on_grad_computed",
                named_parameters=list(self.get_all_learnable_params()),
                batch=(batch.x, batch.y),
                training=True,
            )

    # -- held-out rows --------------------------------------------------------------------------

    def _valid_dataset(self, fit_data: FitData) -> Dataset | None:
        if not len(fit_data.valid):
            return None
        rows = fit_data.data.X[fit_data.valid]
        return Dataset(rows, fit_data.data.y[fit_data.valid])

    def _validate(self, valid: Dataset | None) -> None:
        """Record mean cross-entropy and accuracy of the held-out source rows."""
        if valid is None:
            return
        self._set_training(False)
        logits = np.concatenate(list(self.infer_blocks(valid.X, None, "labels")))
        losses = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(valid.y))
        self._record_with_best("valid_loss", float(losses))
        self.history.record("valid_accuracy", float((logits.argmax(1) == valid.y).mean()))

    # -- inference ------------------------------------------------------------------------------

    def infer(self, x: Tensor, **_: Any) -> Tensor:
        """Class logits of one batch, for skorch's own scoring callbacks."""
        return self.module_(x.to(self.device))

    def infer_blocks(
        self, X: Any, domain: np.ndarray | None, what: str, n_rows: int = BLOCK_ROWS
    ) -> Iterator[np.ndarray]:
        """Yield features, class logits or domain logits of `X`, block by block.

        Blocks are padded to a multiple of 64 rows: matrix products round differently for other
        shapes, and a row's prediction should not depend on the rows beside it.

        Parameters
        ----------
        X : ndarray or CSR of shape (n_samples, n_features)
            Checked rows.
        domain : ndarray of shape (n_samples,) or None
            Domain indices; None for "any target".
        what : {"features", "labels", "domains"}
            Which output.
        n_rows : int
            Most rows in a block.
        """
        with suited_threads(min(n_rows, X.shape[0]) * self._count_weights()):
            for start in range(0, X.shape[0], n_rows):
                rows = slice(start, start + n_rows)
                yield self._infer_block(X[rows], None if domain is None else domain[rows], what)

    def _infer_block(self, X: Any, domain: np.ndarray | None, what: str) -> np.ndarray:
        size = X.shape[0]
        dense = np.zeros((-(-size // ROW_MULTIPLE) * ROW_MULTIPLE, X.shape[1]), np.float32)
        dense[:size] = X.toarray() if sp.issparse(X) else X
        rows = None
        if domain is not None:
            padded = np.full(len(dense), self.n_domains, dtype=np.int64)
            padded[:size] = domain
            rows = Rows(0, torch.from_numpy(padded).to(self.device))
        module = self.module_
        with torch.inference_mode():
            output = module.extract_features(torch.from_numpy(dense).to(self.device), rows)
            if what == "labels":
                output = module.predict_labels(output, rows)
            elif what == "domains":
                output = module.classify_domains(module.condition(output, rows), rows)
        return output[:size].cpu().numpy()


class _EpochSums:
    """Means over the steps of an epoch, brought to the host a few hundred steps at a time."""

    def __init__(self) -> None:
        self.pending: list[_StepRecord] = []
        self.sums = np.zeros(3)
        self.n_steps = 0
        self.n_rows = 0

    def add(self, record: _StepRecord) -> None:
        self.pending.append(record)
        if len(self.pending) == FLUSH_STEPS:
            self._flush()

    def _flush(self) -> None:
        columns: Sequence[Any] = list(zip(*self.pending, strict=True))
        self.sums[0] += float(torch.stack(columns[0]).sum())
        if columns[1][0] is not None:
            self.sums[1] += float(torch.stack(columns[1]).sum())
            hits = torch.cat(columns[2])
            self.sums[2] += float(hits.sum())
            self.n_rows += len(hits)
        self.n_steps += len(self.pending)
        self.pending.clear()

    def means(self) -> dict[str, float]:
        if self.pending:
            self._flush()
        means = {"label_loss": self.sums[0] / self.n_steps}
        if self.n_rows:
            means["domain_loss"] = self.sums[1] / self.n_steps
            means["domain_accuracy"] = self.sums[2] / self.n_rows
        return {name: float(value) for name, value in means.items()}


def _source(rows: Rows) -> Rows:
    """Describe the source rows of a batch alone."""
    domain = rows.domain
    return Rows(rows.n_source, None if domain is None else domain[..., : rows.n_source])


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(-1)
