"""A fold's training under way: its epochs, and its state on disk between them."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from hnp_pipeline import study, tables
from hnp_pipeline.errors import StepError
from hnp_pipeline.progress import Report, throttled
from hnp_pipeline.training import checkpoints
from hnp_pipeline.training.batches import Feeder, Images, derive
from hnp_pipeline.training.devices import (
    Peek,
    autocast,
    device_of,
    room_for_images,
    threads_of,
)
from hnp_pipeline.training.distributed import World
from hnp_pipeline.training.epochs import EpochResult, auc, best_epoch, validation_loss
from hnp_pipeline.training.fold_data import FoldData
from hnp_pipeline.training.inference import infer, save_model
from hnp_pipeline.training.learner import Learner
from hnp_pipeline.training.results import FoldResult, NonFiniteError, predictions_table
from hnp_pipeline.training.schedule import learning_rate
from hnp_pipeline.training.tasks import task_of


@dataclass(frozen=True)
class Job:
    """What is to be trained: the arguments of `train_fold` that say so, in a form that goes to other processes."""

    images: Images
    examples: pa.Table
    task: str
    fold: int
    training: study.Training
    imaging: study.Imaging
    directory: Path
    pixels: str = ""

    @property
    def name(self) -> str:
        """For messages."""
        return f"training of {self.task}, fold {self.fold}"


class FoldTraining:
    """A training under way.

    All that carries over from one epoch to the next is what `save` writes: weights, the optimiser's moments,
    the history and the best epoch. Order and random draws of an epoch come from its number.
    """

    def __init__(self, job: Job, threads: int | None, device: str, report: Report, world: World) -> None:
        if len(job.images) != job.examples.num_rows:
            raise ValueError(f"{len(job.images)} images for {job.examples.num_rows} examples")
        training, examples = job.training, job.examples
        self.job, self.training, self.images = job, training, job.images
        self.task, self.fold, self.name, self.directory = (
            task_of(job.task, training),
            job.fold,
            job.name,
            job.directory,
        )
        self.report, self.world, self.device = report, world, device_of(device)
        self.key = (training.seed, job.task, job.fold)

        self.data = FoldData.of(examples, self.task, job.fold)
        if len(self.data.train) < 2:
            raise StepError(
                f"{self.name}: the other folds hold {len(self.data.train)} images, it takes 2 or more"
            )
        self.learner = Learner(self.task, training, derive(*self.key, "weights"), self.device, world)
        self.network = self.learner.network

        self.history: list[EpochResult] = []
        self.best: dict[str, Tensor] = {}  # the best epoch's weights
        self.best_logits = np.zeros((0, self.task.units), np.float32)  # what they say of the held-out fold
        self.seconds = dict.fromkeys(
            ("loading", "data_wait", "forward_backward", "validation", "checkpoint"), 0.0
        )
        self.resumed = 0
        self.examples_hash = tables.content_hash(examples)
        machine = (threads_of(threads), self.device.type, world.size)
        self.fingerprint = checkpoints.fingerprint(
            training.hash, job.imaging.hash, job.pixels, *self.key, self.examples_hash, *machine
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
            self.best = self.learner.weights()
            self.best_logits = logits

    def _train(self) -> tuple[float, float]:
        """One pass over the other folds: the mean loss, and the learning rate at its start.

        Waits for the device at the end only.
        """
        epoch, data, device = len(self.history), self.data, self.device
        whole = data.batches(self.training.batch_size, derive(*self.key, "order", epoch))
        batches = self.world.share(whole)
        # gradients are averaged over processes: so each loss counts by its part of the batch
        part = batches.order.shape[1] * self.world.size / whole.order.shape[1]
        torch.manual_seed(
            derive(*self.key, "dropout", epoch, *((self.world.rank,) if self.world.rank else ()))
        )
        rows, steps = torch.from_numpy(batches.order), len(batches.order)
        labels, ages, known = (t[rows].to(device) for t in (data.labels, data.ages, data.known))
        group, weight, real = (None if a is None else torch.from_numpy(a).to(device) for a in batches[1:])
        losses = torch.zeros(steps, device=device)
        self.network.train()
        start = looked = time.perf_counter()
        waited, peek = 0.0, Peek()
        pictures = self.feeder(batches.order)
        for step in range(steps):
            asked = time.perf_counter()
            pixels = next(pictures)
            waited += time.perf_counter() - asked
            with autocast(device, self.training):
                logits = self.learner(pixels, known[step]).float()
            counts = None if real is None else real[step]
            if group is None or weight is None:
                loss = self.task.loss(logits, labels[step], ages[step], counts)
            else:
                loss = self.task.pooled_loss(logits, labels[step], group[step], weight[step], counts)
            if part != 1:
                loss = loss * part
            self.learner.step(loss, learning_rate(epoch * steps + step, steps, self.training))
            losses[step] = loss.detach()
            if self.world.first and time.perf_counter() - looked > 2:  # seconds
                peek.ask(losses[: step + 1])
                looked = time.perf_counter()
            if (seen := peek.answer()) is not None:
                self._look(seen, whole.order)
        losses = self.world.sum(losses) / self.world.size
        self._look(losses.cpu(), whole.order)
        self.world.average_statistics(self.network)
        self.seconds["data_wait"] += waited
        self.seconds["forward_backward"] += time.perf_counter() - start - waited
        return float(losses.double().mean()), learning_rate(epoch * steps, steps, self.training)

    def _look(self, losses: Tensor, order: np.ndarray) -> None:
        """Report the last of the epoch's losses so far, all of which must be finite."""
        wrong = np.flatnonzero(~np.isfinite(losses.numpy()))
        whole = self.world.size == 1 or len(losses) == len(
            order
        )  # else one process's: the others cannot stop
        if len(wrong) and whole:
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
        report = throttled(lambda done, images: self._report(0.9 + 0.1 * done, f"validation, {images}"), 2)
        mine = np.array_split(np.arange(len(rows)), self.world.size)[self.world.rank]
        known = self.data.known[rows[mine]].to(self.device)
        every = torch.zeros(len(rows), self.task.units, device=self.device)
        own = infer([self.network], self.feeder, rows[mine], [known], size, self.training, report)[0]
        every[torch.from_numpy(mine)] = torch.from_numpy(own).to(self.device)
        logits = self.world.sum(every).cpu().numpy()
        wrong = ~np.isfinite(logits).all(axis=1)
        if wrong.any():
            message = f"{self.name}, {self._epoch}: predictions are not finite"
            raise NonFiniteError(message, self.data.sha256[rows[wrong]].tolist())
        return self.data.answered(logits)

    def save(self) -> None:
        """Write the checkpoint."""
        start = time.perf_counter()
        if self.world.first:
            tensors = self.learner.tensors() | {f"best.{k}": v for k, v in self.best.items()}
            tensors["best_logits"] = torch.from_numpy(self.best_logits)
            facts = {
                "fingerprint": self.fingerprint,
                "memory_format": self.learner.memory_format,
                "history": [asdict(r) for r in self.history],
                "seconds": self.seconds,
            }
            with checkpoints.writing_told(self.name, self.directory):
                checkpoints.save(self._checkpoint, tensors, facts)
        self.seconds["checkpoint"] += time.perf_counter() - start

    def restore(self) -> None:
        """Go on from the checkpoint, if it is of this very training; remove any other."""
        found = checkpoints.load(self._checkpoint, self.fingerprint)
        self.world.wait()  # all have looked
        if self.world.first:
            checkpoints.sweep(self.directory)
            if found is None:
                with checkpoints.writing_told(self.name, self.directory):
                    self._checkpoint.unlink(missing_ok=True)
        start = time.perf_counter()
        own = -(-min(self.training.batch_size, len(self.data.train)) // self.world.size)  # of each batch
        pixels = torch.from_numpy(self.images.gather(self.data.train[:1].repeat(own))).to(self.device)
        self.learner.begin(pixels, None if found is None else (found[0], found[1]["memory_format"]))
        self.feeder = Feeder(self.images, self.device, room_for_images(self.device, self.learner.memory))
        loading = time.perf_counter() - start
        if found is not None:
            tensors, facts = found
            self.best = checkpoints.group(tensors, "best")
            self.best_logits = tensors["best_logits"].numpy()
            self.history = [EpochResult(**r) for r in facts["history"]]
            self.seconds = facts["seconds"]
            self.resumed = len(self.history)
        self.seconds["loading"] += loading

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
            "imaging": self.job.imaging.model_dump(mode="json"),
            "age": asdict(self.data.scale.age),
            "views": self.data.scale.views,
            "memory_format": self.learner.memory_format,
            "best_epoch": best,
            "history": [asdict(r) for r in self.history],
            "examples": self.examples_hash,
            "pixels": self.job.pixels,
            "images": {"train": len(self.data.train), "validation": len(self.data.validation)},
            "predictions": tables.content_hash(predictions),
            "seconds": self.seconds,
        }
        if self.world.first:
            with checkpoints.writing_told(self.name, self.directory):
                (self.directory / "model.json").unlink(missing_ok=True)
                tables.write_table(predictions, self.directory / "predictions.parquet")
                save_model(self.best, self.directory, facts)
                self._checkpoint.unlink(missing_ok=True)
        self.world.wait()
        layout = self.learner.memory_format
        return FoldResult(self.directory, best, self.history, predictions, self.seconds, self.resumed, layout)

    @property
    def _checkpoint(self) -> Path:
        return self.directory / "checkpoint.safetensors"
