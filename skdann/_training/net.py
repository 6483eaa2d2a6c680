"""The skorch net that runs domain-adversarial training.

skorch provides the history, callbacks and printing. A training step (:mod:`skdann._training.step`)
neither synchronizes with the device nor calls callbacks that do not implement a hook.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from skorch.callbacks import EpochTimer, PrintLog
from torch import Tensor

from skdann._input.domains import DomainData
from skdann._training.batches import Batch, DomainBatches
from skdann._training.distributed import joined
from skdann._training.divergence import check_loss
from skdann._training.history import EpochHistory
from skdann._training.inference import infer_blocks
from skdann._training.interface import CallbackInterface, SourceRows, softmax
from skdann._training.interrupt import is_stop
from skdann._training.label_losses import LABEL_LOSSES, LabelLoss
from skdann._training.objective import ADVERSARIES
from skdann._training.params import DataShape, NetworkParams, TrainingParams
from skdann._training.pseudo_labels import PseudoLabels, refreshes
from skdann._training.randomness import seeded_globally, spawn_generators
from skdann._training.record import EpochSums, Outputs
from skdann._training.schedules import LAMBDA_SCHEDULES, LR_SCHEDULES, evaluate_schedule
from skdann._training.snapshot import Snapshot
from skdann._training.step import Step
from skdann._training.threads import suited_threads
from skdann.nn import DANNModule
from skdann.nn._module import build_dann_module, is_sizes
from skdann.nn._norms import MemberBatchNorm


class FitData(NamedTuple):
    """Training data of one call of the net.

    Attributes
    ----------
    data : DomainData
        The checked rows.
    train : ndarray of int of shape (n_train,) or (n_members, n_train)
        Indices of the source rows to train on.
    valid : ndarray of int of shape (n_valid,)
        Indices of the source rows held out for early stopping.
    class_weight : ndarray of shape (n_classes,) or None
        Weights of the classes in the label loss.
    teachers : tuple of DANNNet, default=()
        Trained nets whose mean prediction for the target gives the first pseudo-labels.
    labelled : ndarray of int of shape (n_labelled,) or (n_members, n_labelled), or None
        Indices of the labelled target rows to train on.
    """

    data: DomainData
    train: np.ndarray
    valid: np.ndarray
    class_weight: np.ndarray | None
    teachers: tuple[DANNNet, ...] = ()
    labelled: np.ndarray | None = None


class DANNNet(CallbackInterface):
    """skorch net of domain-adversarial training, for one or several ensemble members.

    Parameters
    ----------
    networks : NetworkParams
        Hyperparameters of the three networks.
    training : TrainingParams
        Hyperparameters of training.
    shape : DataShape
        Shape of the data: columns, classes and domains.
    seeds : tuple of int
        Source of all randomness, one seed per member.
    start : tuple of DANNModule and list of dict, or None, default=None
        Initial networks and their random generators; None builds new ones.
    **kwargs
        Passed to skorch's NeuralNet.
    """

    # copied and pickled together with the modules, which use the same generators
    cuda_dependent_attributes_: ClassVar = ["generators_"]

    def __init__(
        self,
        networks: NetworkParams,
        training: TrainingParams,
        shape: DataShape,
        *,
        seeds: tuple[int, ...],
        start: tuple[DANNModule, list[dict[str, torch.Generator]]] | None = None,
        **kwargs: Any,
    ) -> None:
        is_classification = LABEL_LOSSES[training.loss].is_classification
        super().__init__(
            build_dann_module,
            criterion=torch.nn.CrossEntropyLoss,  # not used
            train_split=None,
            predict_nonlinearity=softmax if is_classification else None,
            history=EpochHistory(),
            warm_start=True,
            **kwargs,
        )
        self.networks, self.shape, self.seeds, self.start = networks, shape, seeds, start
        self.n_domains, self.n_targets = len(shape.domains), shape.n_targets
        self.configure(training)

    # -- set-up ---------------------------------------------------------------------------------

    def configure(self, training: TrainingParams) -> None:
        """Set the hyperparameters of training, which may change between two fits."""
        self.training = training
        self.lr, self.batch_size = training.lr, training.batch_size
        self.max_epochs = training.max_epochs
        self.lambda_ends = torch.tensor(
            training.lambda_max, dtype=torch.float32, device=self.device
        ).view(-1, 1, 1)

    @property
    def classes_(self) -> np.ndarray:
        """Class indices."""
        return np.arange(self.shape.n_outputs)

    @property
    def label_loss(self) -> LabelLoss:
        """Label part of the objective."""
        return LABEL_LOSSES[self.training.loss](self.training)

    @property
    def n_members(self) -> int:
        """Number of independent copies of the networks."""
        return len(self.seeds)

    @property
    def has_user_modules(self) -> bool:
        """Whether a network was passed as a module, which may use torch's global generator."""
        networks = self.networks
        return not (
            is_sizes(networks.feature_extractor)
            and is_sizes(networks.label_predictor)
            and is_sizes(networks.domain_classifier)
        )

    @property
    def is_adversarial(self) -> bool:
        """Whether the domain loss reaches the feature extractor."""
        return self.n_targets > 0 and max(self.training.lambda_max) > 0

    @property
    def waits_for_labels(self) -> bool:
        """Whether the last epoch was trained before the first pseudo-labels that are requested."""
        is_early = self.n_epochs_done_ <= refreshes(self.max_epochs)[0]
        has_labels = self.n_targets > 0 and any(self.training.pseudo_labels)
        return has_labels and is_early and not self.starts_labelled

    def get_default_callbacks(self) -> list[tuple[str, Any]]:
        """Time the epochs; with `verbose` of 2, print a line for each."""
        callbacks: list[tuple[str, Any]] = [("epoch_timer", EpochTimer())]
        if self.verbose > 1:
            callbacks.append(("print_log", PrintLog()))
        return callbacks

    def initialize_module(self) -> DANNNet:
        """Build the networks, with a separate random generator for each purpose."""
        if self.start is not None:
            (self.module_, self.generators_), self.start = self.start, None
        else:
            self.generators_ = [spawn_generators(seed) for seed in self.seeds]
            with self._seeded_globally():
                self.module_ = self._build()
        self.n_epochs_done_ = 0
        self.is_interrupted_ = self.starts_labelled = False
        self.member_history_: list[dict[str, np.ndarray]] = []
        return self

    def _build(self) -> DANNModule:
        networks, shape = self.networks, self.shape
        return build_dann_module(
            feature_extractor=networks.feature_extractor,
            label_predictor=networks.label_predictor,
            domain_classifier=networks.domain_classifier,
            activation=networks.activation,
            dropout=networks.dropout,
            normalization=networks.normalization,
            conditioning=networks.conditioning,
            standardize=networks.standardize,
            n_features=shape.n_features,
            n_outputs=shape.n_outputs,
            n_domains=self.n_domains,
            n_targets=self.n_targets,
            has_domain_classifier=ADVERSARIES[self.training.adversarial].has_classifier,
            generators=self.generators_,
        )

    def _seeded_globally(self) -> AbstractContextManager[None]:
        """Let custom modules, which may use torch's global generator, draw from the seed too."""
        if not self.has_user_modules:
            return contextlib.nullcontext()
        return seeded_globally(self.generators_[0]["user_modules"], self.device)

    # -- schedules ------------------------------------------------------------------------------

    def lambda_at(self, progress: float) -> Any:
        """Return lambda at progress p: a float, or a tensor of shape (n_members, 1, 1)."""
        kinds = self.training.pseudo_labels
        factors = {kind: self._lambda_factor(progress, kind) for kind in dict.fromkeys(kinds)}
        if self.n_members == 1:
            return float(self.training.lambda_max[0]) * factors[kinds[0]]
        if len(set(factors.values())) == 1:
            return factors[kinds[0]] * self.lambda_ends
        per_member = self.lambda_ends.new_tensor([factors[kind] for kind in kinds])
        return per_member.view(-1, 1, 1) * self.lambda_ends

    def _lambda_factor(self, progress: float, kind: str | None) -> float:
        """Return the factor of the schedule; with "balance", lambda waits for pseudo-labels."""
        if kind == "balance" and not self.starts_labelled:
            start = refreshes(self.max_epochs)[0] / self.max_epochs
            if progress < start:
                return 0.0
            progress = (progress - start) / (1.0 - start) if start < 1.0 else 1.0
        schedule = self.training.lambda_schedule
        return evaluate_schedule("lambda_schedule", schedule, LAMBDA_SCHEDULES, progress)

    def lr_at(self, progress: float) -> float:
        """Return the learning rate at progress p."""
        schedule = self.training.lr_schedule
        return self.lr * evaluate_schedule("lr_schedule", schedule, LR_SCHEDULES, progress)

    def _set_progress(self, progress: float) -> Any:
        """Set the learning rate, unless it is constant, and return lambda."""
        if self.training.lr_schedule != "constant":
            for group in self.optimizer_.param_groups:
                group["lr"] = self.lr_at(progress)
        return self.lambda_at(progress) if self.is_adversarial else 0.0

    # -- the loop -------------------------------------------------------------------------------

    def partial_fit(self, X: FitData, y: None = None, **options: Any) -> DANNNet:
        """Train; callbacks know the source rows by their domains meanwhile."""
        self.known_rows = self._source(X), self._held_out(X)
        try:
            super().partial_fit(X, y, **options)
        finally:
            del self.known_rows
        return self

    def fit_loop(
        self,
        X: FitData,
        y: None = None,
        epochs: int | None = None,
        checkpoint: Any = None,
        **_: Any,
    ) -> DANNNet:
        """Train for `epochs` epochs or resume a checkpoint; an interrupted epoch is undone."""
        source, valid = self.known_rows
        on_epoch = {
            "dataset_train": source and source.dataset,
            "dataset_valid": valid and valid.dataset,
        }
        n_epochs = self.max_epochs if epochs is None else epochs
        is_chunk = n_epochs < self.max_epochs or self.n_epochs_done_ > 0
        self.starts_labelled = bool(X.teachers)
        snapshot, is_within_epoch = Snapshot(), False
        # an interrupt ends the search that several members belong to, or the other processes
        is_undone = self.n_members == 1 and not self.training.distributed
        self.is_interrupted_ = True
        try:
            with contextlib.ExitStack() as stack:
                ranks = stack.enter_context(joined(self.training.distributed))
                batches = self._batches(X, ranks, n_epochs)
                pseudo_labels = PseudoLabels(self, X, batches, is_chunk=is_chunk)
                stack.enter_context(self._seeded_globally())
                stack.enter_context(suited_threads(2 * batches.max_size, self.module_))
                n_done = checkpoint.resume(self, X, batches) if checkpoint else 0
                for _epoch in range(n_done, n_epochs):
                    self.is_interrupted_ = True
                    if is_undone:
                        snapshot.take(self)
                    is_within_epoch = True
                    if checkpoint:
                        checkpoint.save(self, batches)
                    pseudo_labels.update_if_due(self.n_epochs_done_, self.max_epochs)
                    self.notify("on_epoch_begin", **on_epoch)
                    self.run_single_epoch(batches, True, "train", None)
                    self._validate(valid, ranks)
                    self.n_epochs_done_ += 1
                    is_within_epoch = False
                    self.is_interrupted_ = False  # a callback may end training here
                    self.notify("on_epoch_end", **on_epoch)
        except KeyboardInterrupt as error:
            if is_within_epoch and is_undone:
                snapshot.restore(self)
            elif not is_stop(error):
                self.is_interrupted_ = True
            raise
        return self

    def _batches(self, fit_data: FitData, ranks: Any = None, n_epochs: int = 1) -> DomainBatches:
        data = fit_data.data
        return DomainBatches(
            data.X,
            data.y_known,
            data.domain,
            n_domains=self.n_domains,
            n_targets=self.n_targets,
            source_rows=fit_data.train,
            sample_weight=data.weight,
            class_weight=fit_data.class_weight,
            batch_size=self.batch_size,
            generators=self.generators_,
            labelled_rows=fit_data.labelled,
            device=self.device,
            ranks=ranks,
            n_epochs=n_epochs,
        )

    def run_single_epoch(
        self, iterator: DomainBatches, training: bool, prefix: str, step_fn: None
    ) -> None:
        """Train on every batch and record the means over the epoch."""
        if not self.module_.training:
            self._set_training(True)
        params = self.training
        adversary = ADVERSARIES[params.adversarial](self.module_, params)
        ranks = iterator.ranks
        sums = EpochSums(adversary, self.label_loss, params.domain_loss_weight, ranks)
        step = self._new_step(adversary, ranks)
        notifies = self.has_listener("on_batch_begin", "on_batch_end")
        n_steps, lambda_ = iterator.n_steps, 0.0
        is_seen = notifies or step.on_gradients is not None
        for index, batch in enumerate(iterator.epoch(**self._batch_form(step, iterator, is_seen))):
            progress = min(1.0, (self.n_epochs_done_ + index / n_steps) / self.max_epochs)
            if notifies:
                given = batch.x, batch.y_source
                self.notify("on_batch_begin", batch=given, training=training)
            lambda_ = self._set_progress(progress)
            outputs = self._take_step(step, batch, lambda_)
            sums.add(outputs)
            if notifies:
                n_source = batch.rows.n_source
                loss, logits = sums.loss_of(outputs), outputs.logits[..., :n_source, :]
                logits = logits.squeeze(0) if self.n_members == 1 else logits
                self._record_batch(prefix, loss.item(), n_source)
                self._notify_batch_end(*given, loss, logits, training)
        self._record_epoch(prefix, sums.means(), lambda_, n_steps)
        if not notifies:  # skorch's Checkpoint callback reads the last batch of an epoch
            self.history.new_batch()
            self._record_batch(prefix, self.history[-1][f"{prefix}_loss"], iterator.n_source)

    def _batch_form(self, step: Step, batches: DomainBatches, is_seen: bool) -> dict[str, bool]:
        """Return how rows are kept for the steps of an epoch; callbacks see them as they are."""
        if is_seen:
            return {}
        return {
            "stays_sparse": step.takes_sparse and batches.is_thin,
            "is_scaled": step.takes_scaled and batches.scale(self.module_.standardizer),
            "is_reused": step.analytic is not None,  # otherwise hooks or modules may keep rows
        }

    def _record_batch(self, prefix: str, loss: float, n_rows: int) -> None:
        """Record what skorch's callbacks read of a batch."""
        self.history.record_batch(f"{prefix}_loss", loss)
        self.history.record_batch(f"{prefix}_batch_size", n_rows)

    def _new_step(self, adversary: Any, ranks: Any = None) -> Step:
        return Step(
            self.module_,
            self.optimizer_,
            adversary,
            self.label_loss,
            has_targets=self.n_targets > 0,
            is_adversarial=self.is_adversarial,
            keeps_domains_apart=self._keeps_domains_apart(),
            on_gradients=self._notify_gradients if self.has_listener("on_grad_computed") else None,
            ranks=ranks,
        )

    def _keeps_domains_apart(self) -> bool:
        """Whether a layer keeps separate statistics for each domain."""
        return self.n_domains > 1 and any(
            isinstance(layer, MemberBatchNorm) and layer.n_domains > 1
            for layer in self.module_.modules()
        )

    def _take_step(self, step: Step, batch: Batch, lambda_: Any) -> Outputs:
        """Take a step; errors of custom modules are raised with the context."""
        try:
            return step.take(batch, lambda_)
        except Exception as error:
            if not self.has_user_modules:
                raise
            raise ValueError(
                f"A training step on {batch.rows.n_source} source rows failed with "
                f"{type(error).__name__}: {error}. Check the modules passed as feature_extractor, "
                "label_predictor and domain_classifier, or change batch_size."
            ) from error

    def _notify_batch_end(
        self, x: Any, y: Any, loss: Tensor, logits: Tensor, training: bool
    ) -> None:
        self.notify("on_batch_end", batch=(x, y), training=training, loss=loss, y_pred=logits)

    def _notify_gradients(self, batch: Batch) -> None:
        self.notify(
            "on_grad_computed",
            named_parameters=list(self.get_all_learnable_params()),
            batch=(batch.x, batch.y_source),
            training=True,
        )

    def on_batch_begin(
        self, net: DANNNet, batch: Any = None, training: bool = False, **_: Any
    ) -> None:
        """Add a batch to the history for callbacks that read it."""
        self.history.new_batch()

    def _record_epoch(self, prefix: str, means: dict[str, Any], lambda_: Any, n_steps: int) -> None:
        """Record means over the members, and the values of each in `member_history_`."""
        weight = self.training.domain_loss_weight
        loss = means["label_loss"] + weight * means.get("domain_loss", 0.0)
        check_loss(loss, len(self.history))
        lr = self.optimizer_.param_groups[0]["lr"]
        if self.n_members > 1:
            lambdas = torch.as_tensor(lambda_, dtype=torch.float64).cpu().numpy().ravel()
            figures = {f"{prefix}_loss": loss, **means, "lambda": lambdas, "lr": lr}
            self.member_history_.append(
                {name: np.full(self.n_members, value, float) for name, value in figures.items()}
            )
            means = {name: _mean(value) for name, value in means.items()}
            lambda_ = float(lambdas.max())
        self.history.record_with_best(f"{prefix}_loss", _mean(loss))
        rest = {"lambda": lambda_, "lr": lr, f"{prefix}_batch_count": n_steps}
        self.history[-1].update(means | rest)

    # -- held-out rows --------------------------------------------------------------------------

    def _source(self, fit_data: FitData) -> SourceRows | None:
        """Return the source rows to train on, for callbacks passed by the user."""
        if not self.callbacks or self.n_members > 1:
            return None
        data, train = fit_data.data, fit_data.train
        rows = slice(0, data.n_source) if len(train) == data.n_source else train
        return SourceRows.of(data, rows)

    def _held_out(self, fit_data: FitData) -> SourceRows | None:
        """Return the held-out source rows; None without them."""
        return SourceRows.of(fit_data.data, fit_data.valid) if len(fit_data.valid) else None

    def _validate(self, valid: SourceRows | None, ranks: Any = None) -> None:
        """Record the label loss, and for classes the accuracy, on the held-out source rows."""
        if valid is None:
            return
        X, y = valid.dataset.X, torch.from_numpy(valid.dataset.y)
        self._set_training(False)
        logits = torch.from_numpy(np.vstack(list(self.infer_blocks(X, valid.domain, "labels"))))
        figures = self.label_loss.validate(logits, y)
        if ranks is not None:  # processors may round differently, and all must stop together
            figures = ranks.of_first(lambda: figures)
        valid_loss = figures.pop("valid_loss")
        if self.has_listener("on_batch_begin", "on_batch_end"):
            self.notify("on_batch_begin", batch=(X, y), training=False)
            self._record_batch("valid", valid_loss, len(y))
            loss = torch.tensor(valid_loss, dtype=torch.float32)
            self._notify_batch_end(X, y, loss, logits, False)
        self.history.record_with_best("valid_loss", valid_loss)
        for name, value in figures.items():
            self.history.record(name, value)

    # -- inference ------------------------------------------------------------------------------

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict class probabilities, or numbers on the scale of the net.

        Known source rows are treated by their domains, others as target rows.
        """
        is_cached = "forward_iter" in vars(self)  # while a callback uses outputs of training
        for known in () if is_cached else filter(None, self.known_rows):
            if X is known.dataset or X is known.dataset.X:
                self._set_training(False)
                logits = self.infer_rows(known.dataset.X, known.domain, "labels")
                if not self.label_loss.is_classification:
                    return logits
                return softmax(torch.from_numpy(logits)).numpy()
        return super().predict_proba(X)

    def infer(self, x: Tensor, **_: Any) -> Tensor:
        """Return class logits of one batch."""
        return self.module_(x.to(self.device))

    def infer_rows(self, X: Any, domain: np.ndarray | None, what: str) -> np.ndarray:
        """Return features, class logits or domain logits of `X`; raise if any is not finite."""
        output = np.concatenate(list(self.infer_blocks(X, domain, what)))
        if not np.isfinite(output.min()) or not np.isfinite(output.max()):
            raise ValueError(
                "X has values so far from those of the fit that the network's output is not "
                "finite; scale X like X_source, e.g. with skdann.make_pipeline."
            )
        return output

    def infer_blocks(self, X: Any, domain: np.ndarray | None, what: str) -> Iterator[np.ndarray]:
        """Yield features, class logits or domain logits of `X`, block by block."""
        return infer_blocks(self.module_, X, domain, what, n_members=self.n_members)


def _mean(values: Any) -> float:
    """Return the mean over the members that have not diverged."""
    return float(values) if np.size(values) == 1 else float(np.nanmean(values))
