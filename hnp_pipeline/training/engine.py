"""One fold's training (paper, section 2.3): deterministic by seed, resumable, its best epoch kept."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pyarrow as pa
import torch

from hnp_pipeline import study
from hnp_pipeline.locks import locked
from hnp_pipeline.progress import Report, silent
from hnp_pipeline.training import checkpoints
from hnp_pipeline.training.batches import Images
from hnp_pipeline.training.devices import compiling_told, device_of, memory_told, threads_of
from hnp_pipeline.training.distributed import joined, launch, leads
from hnp_pipeline.training.epochs import EpochResult, finished
from hnp_pipeline.training.fold_training import FoldTraining, Job
from hnp_pipeline.training.results import FoldResult

_LESS_MEMORY = "lower training.batch_size, or set training.gradient_checkpointing: true (slower, a fraction of the memory)"


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
    devices: int = 1,
    pixels: str = "",
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
        devices: how many share each batch, a process each (`distributed`): GPUs, or processes of a CPU. The
            result is the same but for rounding. Under torchrun, every process calls this with 1.
        pixels: a hash of the pictures' pixels: a training of others does not go on, and model.json says which.

    Raises:
        StepError: too few images; a loss that is not finite (NonFiniteError); memory or disk is full.
        SettingsError: the settings' weights or device cannot be had.
    """
    job, kind = (
        Job(images, examples, task, fold, training, imaging, directory, pixels),
        device_of(device).type,
    )
    with checkpoints.writing_told(job.name, directory):
        directory.mkdir(parents=True, exist_ok=True)
    with _only_trainer(directory, report):
        if devices > 1:
            arguments = {"job": job, "threads": max(1, threads_of(threads) // devices), "device": kind}
            return launch(_train, arguments, devices, kind, {"report": report, "on_epoch": on_epoch})
        return _train(job, threads, kind, report, on_epoch)


def _only_trainer(directory: Path, report: Report) -> AbstractContextManager[None]:
    """Two that train one fold would take each other's checkpoints for their own. Torchrun's processes are one."""
    if not leads():
        return nullcontext()
    lock = directory.with_name(f".{directory.name}.lock")
    return locked(lock, wait=True, waiting=lambda: report(0.0, "waiting: another run trains this fold"))


def _train(
    job: Job, threads: int | None, device: str, report: Report, on_epoch: Callable[[EpochResult], None]
) -> FoldResult:
    torch.set_num_threads(threads_of(threads))
    torch.backends.cudnn.benchmark = (
        True  # batches of one shape: a GPU's fastest convolutions are looked for once
    )
    batch = f"{job.name}: a batch of {job.training.batch_size} images"
    with joined(device) as world, memory_told(batch, _LESS_MEMORY), compiling_told():
        report, epochs = report if world.first else silent, job.training.epochs
        state = FoldTraining(job, threads, device, report, world)
        state.restore()
        if state.resumed:
            report(state.resumed / epochs, f"goes on after epoch {state.resumed}/{epochs}")
        for result in state.history:
            on_epoch(result)
        while not finished(state.history, job.training):
            state.run_epoch()
            state.save()
            on_epoch(state.history[-1])
        return state.finish()
