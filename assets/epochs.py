"""What a training says after each epoch: a line in the log, figures in MLflow, curves in Dagster."""

import time
from collections.abc import Collection
from typing import TYPE_CHECKING

import dagster as dg

from hnp_pipeline.progress import duration
from resources.figures import as_metadata, lines
from resources.tracked_run import TrackedRun

if TYPE_CHECKING:
    from hnp_pipeline.training.epochs import EpochResult

_BETWEEN_CURVES = 5.0  # seconds at least: they stand in Dagster's event log


class Epochs:
    """Listens to a training (`on_epoch`)."""

    def __init__(self, context: dg.AssetExecutionContext, run: TrackedRun) -> None:
        self.context, self.run = context, run
        self.known: Collection[int] = run.steps("loss")  # a training that goes on tells them again
        self.history: list[EpochResult] = []
        self.shown = 0.0

    def __call__(self, epoch: "EpochResult") -> None:
        """Tell of one epoch."""
        self.history.append(epoch)
        if epoch.epoch in self.known:
            return
        left = epoch.seconds * (epoch.epochs - epoch.epoch)
        self.run.metrics(
            {
                "loss": epoch.loss,
                "validation_loss": epoch.validation_loss,
                "auc": epoch.mean_auc,
                "learning_rate": epoch.learning_rate,
                "seconds": epoch.seconds,
                "seconds_left": left,
                **{f"auc_{name}": value for name, value in epoch.auc.items()},
            },
            step=epoch.epoch,
        )
        auc = "not computable" if epoch.mean_auc is None else f"{epoch.mean_auc:.3f}"
        told = f"epoch {epoch.epoch} of {epoch.epochs} done: loss {epoch.loss:.3f}, validation AUC {auc}"
        self.context.log.info(told + (f", {duration(left)} left" if left else ""))
        now = time.monotonic()
        if not self.shown or now - self.shown >= _BETWEEN_CURVES:
            self.shown = now
            self._show(epoch, left)

    def _show(self, epoch: "EpochResult", left: float) -> None:
        """An observation of the fold's asset: the UI shows it while the training goes on."""
        partition = self.context.partition_key if self.context.has_partition_key else None
        metadata: dict[str, dg.MetadataValue | int | float] = {
            "epoch": epoch.epoch,
            "loss": epoch.loss,
            "seconds_left": round(left),
            "curves": as_metadata(self.curves),
            "mlflow_run": dg.MetadataValue.url(self.run.link),
        }
        if epoch.mean_auc is not None:
            metadata["validation_auc"] = epoch.mean_auc
        self.context.log_event(
            dg.AssetObservation(
                self.context.asset_key,
                partition=partition,
                metadata=metadata,
                description=f"epoch {epoch.epoch} of {epoch.epochs}",
            )
        )

    @property
    def curves(self) -> bytes:
        """Loss and AUC by epoch, as PNG."""
        return lines(
            {
                "loss": [e.loss for e in self.history],
                "validation loss": [e.validation_loss for e in self.history],
                "validation AUC": [e.mean_auc for e in self.history],
            },
            "epoch",
        )
