"""Trained models: saved without pickle, loaded again, asked for probabilities."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy.special import expit
from torch import Tensor

from hnp_pipeline import study, tables
from hnp_pipeline.errors import StepError
from hnp_pipeline.progress import Report, silent
from hnp_pipeline.training.backbone import Network, build_model
from hnp_pipeline.training.batches import Feeder, Images, in_order
from hnp_pipeline.training.devices import autocast, device_of, in_layout, memory_told, threads_of
from hnp_pipeline.training.pooling import answers
from hnp_pipeline.training.tasks import AgeScale, Known, Task, task_of
from hnp_pipeline.vocabulary import VIEWS

FORMAT = 2  # of model.json
_LESS_MEMORY = "end what else fills it, or set compute.device: cpu; models trained with a smaller training.batch_size take less"
_UNUSABLE = (OSError, SafetensorError, ValueError, LookupError, TypeError, AttributeError, RuntimeError)


@dataclass(frozen=True)
class FoldModel:
    """A trained network in evaluation mode, and what it was trained with.

    Attributes:
        network: its layers; `network.body` is timm's, `network.classifier` the last.
        task: its outputs, in the order of the network's units.
        fold: the fold that it was validated on.
        known: the scale of what the network is told beside the pixels.
        training, imaging: the settings behind it.
        device: where it lies.
        facts: all of model.json.
    """

    network: Network
    task: Task
    fold: int
    known: Known
    training: study.Training
    imaging: study.Imaging
    device: torch.device
    facts: dict[str, Any]

    def inputs(self, ages: np.ndarray | None, views: Sequence[str] | np.ndarray | None, count: int) -> Tensor:
        """What the network is told beside the pixels (count, inputs), from years and views as far as known."""
        return torch.from_numpy(self.known.columns(self.task, ages, views, count)).to(self.device)


def load_model(directory: Path, device: str = "cpu") -> FoldModel:
    """The model of a fold's folder, from model.json and model.safetensors alone; nothing in them can run.

    Raises:
        StepError: the folder holds no whole model of this format.
    """
    try:
        facts = json.loads((directory / "model.json").read_text(encoding="utf-8"))
        if facts["format"] != FORMAT:
            raise ValueError(f"format {facts['format']}, this version reads {FORMAT}")
        if file_hash(directory / "model.safetensors") != facts["model_sha256"]:
            raise ValueError("model.safetensors is not the file that model.json describes")
        training = study.Training.model_validate(facts["training"])
        imaging = study.Imaging.model_validate(facts["imaging"])
        task = task_of(facts["task"], training)
        plain = training.model_copy(update={"gradient_checkpointing": False})
        network = build_model(plain, task.units, len(task.known), pretrained=False)
        network.load_state_dict(load_file(directory / "model.safetensors"))
        age = AgeScale(float(facts["age"]["mean"]), float(facts["age"]["std"]))
        known = Known(age, tuple(float(share) for share in facts["views"]))
        if task.pooled and len(known.views) != len(VIEWS):
            raise ValueError("the shares of the views are not there")
        target = device_of(device)
        layout = facts["memory_format"] if target.type != "cpu" else "channels_last"
        in_layout(network.to(target).eval().requires_grad_(False), layout)
        return FoldModel(network, task, int(facts["fold"]), known, training, imaging, target, facts)
    except _UNUSABLE as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise StepError(f"no usable model in {directory} ({reason}): train this fold again") from error


def save_model(weights: dict[str, Tensor], directory: Path, facts: dict[str, Any]) -> None:
    """Write model.safetensors, then model.json with its SHA-256: without model.json there is no model."""
    weights = {k: v.detach().cpu().contiguous() for k, v in weights.items()}
    with tables.replacing(directory / "model.safetensors") as temporary:
        save_file(weights, temporary)
    sha256 = file_hash(directory / "model.safetensors")
    text = json.dumps({"format": FORMAT, "model_sha256": sha256, **facts}, indent=1)
    tables.write_text(text, directory / "model.json")


def predict(
    models: Sequence[FoldModel],
    images: Images,
    ages: np.ndarray | None = None,
    positions: np.ndarray | None = None,
    batch_size: int | None = None,
    threads: int | None = None,
    report: Report = silent,
) -> np.ndarray:
    """Every model's probabilities of every image; each image is loaded once for all models.

    Args:
        models: of one task and one imaging setting, on one device.
        images: gray uint8 pictures prepared with the models' imaging settings.
        ages: years (n,), for models that take the age as an input; NaN or None stands as the training mean.
        positions: which pictures of the store, in which order; None: all, in their order.
        batch_size: pictures at a time; None: as many as the models were trained on, which fit there.
        threads: of the CPU; None: every core.
        report: told how far it is.

    Returns:
        float64 (models, n, outputs), the outputs in the order of `models[0].task.outputs`.

    Raises:
        StepError: a batch does not fit into memory.
        ValueError: models of several tasks, or of one that answers for patients (`predict_patients`).
    """
    if models and models[0].task.pooled:
        raise ValueError("models that answer for patients are asked by predict_patients")
    logits = _logits(models, images, ages, None, positions, batch_size, threads, report)
    return probabilities(logits[:, :, : len(models[0].task.outputs)])


@dataclass(frozen=True)
class Patients:
    """What models say of patients from all of a patient's images.

    Attributes:
        patients: (P,) sorted.
        probability: float64 (models, P, outputs).
        attention: float64 (models, n, outputs), each image's weight among its patient's.
    """

    patients: np.ndarray
    probability: np.ndarray
    attention: np.ndarray


def predict_patients(
    models: Sequence[FoldModel],
    images: Images,
    patient: np.ndarray,
    ages: np.ndarray | None = None,
    views: Sequence[str] | np.ndarray | None = None,
    batch_size: int | None = None,
    threads: int | None = None,
    report: Report = silent,
) -> Patients:
    """`predict` for models that answer for patients: `patient` (n,) says whose each image is, `views` (n,) its view.

    A view that is not known (None) stands as the mean of the training images, as an age does.
    """
    logits = _logits(models, images, ages, views, None, batch_size, threads, report)
    answer, attention = answers(logits, patient)
    return Patients(np.unique(patient), probabilities(answer), attention)


def _logits(
    models: Sequence[FoldModel],
    images: Images,
    ages: np.ndarray | None,
    views: Sequence[str] | np.ndarray | None,
    positions: np.ndarray | None,
    batch_size: int | None,
    threads: int | None,
    report: Report,
) -> np.ndarray:
    if not models or any(m.task != models[0].task or m.device != models[0].device for m in models):
        raise ValueError("predict takes one model or more, all of one task and on one device")
    torch.set_num_threads(threads_of(threads))
    device, training = models[0].device, models[0].training
    rows = np.arange(len(images)) if positions is None else np.asarray(positions)
    known = [m.inputs(ages, views, len(rows)) for m in models]
    size = batch_size or training.batch_size
    with memory_told(f"inference: a batch of {size} images", _LESS_MEMORY):
        networks = [m.network for m in models]
        return infer(networks, Feeder(images, device), rows, known, size, training, report)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The logistic function in float64, which keeps the order of far-out logits."""
    return expit(logits.astype(np.float64))


def infer(
    networks: Sequence[Network],
    feeder: Feeder,
    positions: np.ndarray,
    known: Sequence[Tensor],
    batch_size: int,
    training: study.Training,
    report: Report = silent,
) -> np.ndarray:
    """Logits, float32 (networks, n, units), of networks in evaluation mode; `known` (n, inputs) for each."""
    device = networks[0].classifier.weight.device
    units = networks[0].classifier.out_features
    logits = torch.empty((len(networks), len(positions), units), device=device)
    start = 0
    with torch.inference_mode(), autocast(device, training):
        for pixels in feeder(in_order(positions, batch_size)):
            part = slice(start, start + len(pixels))
            for k, network in enumerate(networks):
                logits[k, part] = network(pixels, known[k][part]).float()
            start = part.stop
            report(start / len(positions), f"{start} of {len(positions)} images")
    return logits.cpu().numpy()


def file_hash(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
