"""One fold's training (paper, section 2.3): deterministic by seed, resumable, its best epoch kept."""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from hnp_pipeline import study, tables
from hnp_pipeline.errors import StepError
from hnp_pipeline.progress import Report, silent, throttled
from hnp_pipeline.training import checkpoints
from hnp_pipeline.training.backbone import build_model
from hnp_pipeline.training.batches import Feeder, Images, derive
from hnp_pipeline.training.devices import (
    Peek,
    autocast,
    device_of,
    faster_layout,
    in_layout,
    memory_told,
    room_for_images,
    threads_of,
)
from hnp_pipeline.training.epochs import EpochResult, auc, best_epoch, finished, validation_loss
from hnp_pipeline.training.fold_data import FoldData
from hnp_pipeline.training.inference import infer, save_model
from hnp_pipeline.training.pooling import begin_as_mean, pooled
from hnp_pipeline.training.results import FoldResult, NonFiniteError, predictions_table
from hnp_pipeline.training.schedule import learning_rate
from hnp_pipeline.training.tasks import task_of


def train_fold(
    images: Images,
    examples: pa.Table,
    task: str,
    fold: int,
    training: study.Training,
    imaging: study.Imaging,
    directory: Path,
    threads: int | None = None,
    device: str = "auto",
    report: Report = silent,
    on_epoch: Callable[[EpochResult], None] = lambda _: None,
) -> FoldResult:
    """Train on the other folds, validate on `fold`, keep the best epoch in `directory`.

    After each epoch a checkpoint is written, then `on_epoch` is called. A training that was interrupted, by
    an exception (from `report` or `on_epoch`, too) or by SIGKILL, goes on from there when it is called again
    with the same data, settings, code and threads: `on_epoch` first hears of the epochs before, and on a CPU
    the end is the same bit for bit. `directory` holds a whole model, the last or this one, or no model.json.

    Args:
        images: the development set's pictures, in the order of `examples`.
        examples: sha256, fold, age, the five levels and hnp, a row an image, sorted by sha256; for a task that
            answers for patients also view, and patient: the lowest sha256 of the patient's images.
        task: one of `vocabulary.TASKS`.
        fold: the fold that is held out.
        training: how to train.
        imaging: how the pictures were made; kept with the model.
        directory: of this task and fold.
        threads: of the CPU; None: every core.
        device: `auto`, `cpu` or `cuda`.
        report: told epoch, batch and loss, every other second at most.
        on_epoch: told what each epoch came to.

    Raises:
        StepError: too few images; a loss that is not finite (NonFiniteError); memory or disk is full.
        SettingsError: the settings' weights or device cannot be had.
    """
    torch.set_num_threads(threads_of(threads))
    with memory_told(f"training of {task}, fold {fold}", training.batch_size):
        state = _Fold(images, examples, task, fold, training, imaging, directory, threads, device, report)
        state.restore()
        for result in state.history:
            on_epoch(result)
        while not finished(state.history, training):
            state.run_epoch()
            state.save()
            on_epoch(state.history[-1])
    return state.finish()


class _Fold:
    """A training under way.

    All that carries over from one epoch to the next is what `save` writes: weights, the optimiser's moments,
    the history and the best epoch. Order and random draws of an epoch come from its number.
    """

    def __init__(
        self,
        images: Images,
        examples: pa.Table,
        task: str,
        fold: int,
        training: study.Training,
        imaging: study.Imaging,
        directory: Path,
        threads: int | None,
        device: str,
        report: Report,
    ) -> None:
        if len(images) != examples.num_rows:
            raise ValueError(f"{len(images)} images for {examples.num_rows} examples")
        self.task, self.fold, self.training, self.imaging = task_of(task, training), fold, training, imaging
        self.directory, self.report, self.device = directory, report, device_of(device)
        self.key = (training.seed, task, fold)
        self.name = f"training of {task}, fold {fold}"

        self.data = FoldData.of(examples, self.task, fold)
        if len(self.data.train) < 2:
            raise StepError(
                f"{self.name}: the other folds hold {len(self.data.train)} images, it takes 2 or more"
            )
        torch.manual_seed(derive(*self.key, "weights"))
        self.network = build_model(training, self.task.units, len(self.task.known))
        if self.task.pooled:
            begin_as_mean(self.network.classifier)
        self.network.to(self.device)
        pixels = images.gather(np.resize(self.data.train[:1], min(training.batch_size, len(self.data.train))))
        self.memory_format = faster_layout(self.network, torch.from_numpy(pixels).to(self.device), training)
        in_layout(self.network, self.memory_format)
        # only training is compiled: its batches have one shape
        compiled = training.compile and self.device.type == "cuda"
        self.forward: Any = torch.compile(self.network) if compiled else self.network
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=training.learning_rate, fused=True)
        self.feeder = Feeder(images, self.device, room_for_images(self.device))

        self.history: list[EpochResult] = []
        self.best: dict[str, Tensor] = {}  # the best epoch's weights
        self.best_logits = np.zeros((0, self.task.units), np.float32)  # what they say of the held-out fold
        self.seconds = dict.fromkeys(("data_wait", "forward_backward", "validation", "checkpoint"), 0.0)
        self.resumed = 0
        self.examples_hash = tables.content_hash(examples)
        machine = (threads_of(threads), self.device.type)
        self.fingerprint = checkpoints.fingerprint(
            training.hash, imaging.hash, *self.key, self.examples_hash, *machine
        )

    def run_epoch(self) -> None:
        """Train on every batch, validate, note the result, keep the weights if they are the best so far."""
        start = time.perf_counter()
        loss, rate = self._train()
        trained = time.perf_counter()
        logits = self._validate()
        labels, ages = (t[self.data.asked].numpy() for t in (self.data.labels, self.data.ages))
        areas = {k: auc(labels[:, i], logits[:, i]) for i, k in enumerate(self.task.outputs)}
        known = [a for a in areas.values() if a is not None]
        number = len(self.history) + 1
        self.seconds["validation"] += time.perf_counter() - trained
        self.history.append(
            EpochResult(
                epoch=number,
                epochs=self.training.epochs,
                loss=loss,
                validation_loss=validation_loss(self.task, logits, labels, ages),
                auc=areas,
                mean_auc=float(np.mean(known)) if known else None,
                learning_rate=rate,
                seconds=time.perf_counter() - start,
            )
        )
        if best_epoch(self.history) == number:
            self.best = {k: v.clone() for k, v in self.network.state_dict().items()}
            self.best_logits = logits

    def _train(self) -> tuple[float, float]:
        """One pass over the other folds: the mean loss, and the learning rate at its start.

        Waits for the device at the end only.
        """
        epoch = len(self.history)
        data = self.data
        order, group, weight = data.batches(self.training.batch_size, derive(*self.key, "order", epoch))
        torch.manual_seed(derive(*self.key, "dropout", epoch))
        rows = torch.from_numpy(order)
        labels, ages, known = (t[rows].to(self.device) for t in (data.labels, data.ages, data.known))
        patient, share = (None if a is None else torch.from_numpy(a).to(self.device) for a in (group, weight))
        losses = torch.zeros(len(order), device=self.device)
        self.network.train()
        start = looked = time.perf_counter()
        waited, peek = 0.0, Peek()
        batches = self.feeder(order)
        for step in range(len(order)):
            asked = time.perf_counter()
            pixels = next(batches)
            waited += time.perf_counter() - asked
            rate = learning_rate(epoch * len(order) + step, len(order), self.training)
            self.optimiser.param_groups[0]["lr"] = rate
            with autocast(self.device, self.training):
                logits = self.forward(pixels, known[step]).float()
            if patient is not None:
                logits = pooled(logits, patient[step])
            loss = self.task.loss(logits, labels[step], ages[step], None if share is None else share[step])
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            losses[step] = loss.detach()
            if time.perf_counter() - looked > 2:  # seconds
                peek.ask(losses[: step + 1])
                looked = time.perf_counter()
            if (seen := peek.answer()) is not None:
                self._look(seen, order)
        self._look(losses.cpu(), order)
        self.seconds["data_wait"] += waited
        self.seconds["forward_backward"] += time.perf_counter() - start - waited
        return float(losses.double().mean()), learning_rate(epoch * len(order), len(order), self.training)

    def _look(self, losses: Tensor, order: np.ndarray) -> None:
        """Report the last of the epoch's losses so far, all of which must be finite."""
        wrong = np.flatnonzero(~np.isfinite(losses.numpy()))
        if len(wrong):
            first = wrong[0]
            message = f"{self.name}, {self._epoch}, batch {first + 1}: the loss is {losses[first]:.0f}"
            raise NonFiniteError(message, self.data.sha256[order[first]].tolist())
        done, steps = len(losses), len(order)
        self._report(0.9 * done / steps, f"batch {done}/{steps}, loss {losses[-1]:.3f}")

    def _report(self, part: float, message: str) -> None:
        """Say how far it is; `part` of this epoch is done."""
        fraction = (len(self.history) + part) / self.training.epochs
        self.report(fraction, f"{self._epoch}, {message}")

    @property
    def _epoch(self) -> str:
        return f"epoch {len(self.history) + 1}/{self.training.epochs}"

    def _validate(self) -> np.ndarray:
        """Logits (n, units) of the held-out fold's images, or (patients, outputs) of its patients."""
        self.network.eval()
        rows, size = self.data.validation, self.training.batch_size
        known = self.data.known[rows].to(self.device)
        report = throttled(lambda done, images: self._report(0.9 + 0.1 * done, f"validation, {images}"), 2)
        logits = infer([self.network], self.feeder, rows, [known], size, self.training, report)[0]
        wrong = ~np.isfinite(logits).all(axis=1)
        if wrong.any():
            message = f"{self.name}, {self._epoch}: predictions are not finite"
            raise NonFiniteError(message, self.data.sha256[rows[wrong]].tolist())
        return self.data.answered(logits)

    def save(self) -> None:
        """Write the checkpoint."""
        start = time.perf_counter()
        groups = {"model": self.network.state_dict(), "best": self.best}
        tensors = {f"{group}.{k}": v for group, state in groups.items() for k, v in state.items()}
        tensors |= checkpoints.optimiser_tensors(self.optimiser)
        tensors["best_logits"] = torch.from_numpy(self.best_logits)
        facts = {
            "fingerprint": self.fingerprint,
            "memory_format": self.memory_format,
            "history": [asdict(r) for r in self.history],
            "seconds": self.seconds,
        }
        with checkpoints.writing_told(self.name, self.directory):
            checkpoints.save(self._checkpoint, tensors, facts)
        self.seconds["checkpoint"] += time.perf_counter() - start

    def restore(self) -> None:
        """Go on from the checkpoint, if it is of this very training; remove any other."""
        checkpoints.sweep(self.directory)
        found = checkpoints.load(self._checkpoint, self.fingerprint)
        if found is None:
            with checkpoints.writing_told(self.name, self.directory):
                self._checkpoint.unlink(missing_ok=True)
            return
        tensors, facts = found
        self.memory_format = facts["memory_format"]
        in_layout(self.network, self.memory_format)
        self.network.load_state_dict(checkpoints.group(tensors, "model"))
        self.best = checkpoints.group(tensors, "best")
        self.best_logits = tensors["best_logits"].numpy()
        checkpoints.restore_optimiser(self.optimiser, tensors)
        self.history = [EpochResult(**r) for r in facts["history"]]
        self.seconds = facts["seconds"]
        self.resumed = len(self.history)

    def finish(self) -> FoldResult:
        """Write the best epoch's model and predictions; model.json goes first and comes last."""
        sha256, labels = self.data.sha256[self.data.asked], self.data.labels[self.data.asked].numpy()
        predictions = predictions_table(sha256, self.task.outputs, self.best_logits, labels)
        best = best_epoch(self.history)
        facts = {
            "task": self.task.name,
            "fold": self.fold,
            "outputs": self.task.outputs,
            "backbone": self.training.backbone,
            "training": self.training.model_dump(mode="json"),
            "imaging": self.imaging.model_dump(mode="json"),
            "age": asdict(self.data.scale.age),
            "views": self.data.scale.views,
            "memory_format": self.memory_format,
            "best_epoch": best,
            "history": [asdict(r) for r in self.history],
            "examples": self.examples_hash,
            "images": {"train": len(self.data.train), "validation": len(self.data.validation)},
            "predictions": tables.content_hash(predictions),
            "seconds": self.seconds,
        }
        with checkpoints.writing_told(self.name, self.directory):
            (self.directory / "model.json").unlink(missing_ok=True)
            tables.write_table(predictions, self.directory / "predictions.parquet")
            save_model(self.best, self.directory, facts)
            self._checkpoint.unlink(missing_ok=True)
        return FoldResult(
            self.directory, best, self.history, predictions, self.seconds, self.resumed, self.memory_format
        )

    @property
    def _checkpoint(self) -> Path:
        return self.directory / "checkpoint.safetensors"
