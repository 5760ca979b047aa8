"""The MLflow run behind what stands today: that which made it, under whatever settings it was made.

A changed setting makes again only the steps that read it, and what the others made stays valid: asked for by the hash
of today's settings, their runs would not be found.
"""

from collections.abc import Sequence

import dagster as dg

from hnp_pipeline.vocabulary import FOLDS
from resources.tracked_run import TrackedRun
from resources.tracking import Tracking


def run_behind(
    context: dg.AssetExecutionContext, tracking: Tracking, asset: Sequence[str], partition: str | None = None
) -> TrackedRun | None:
    """The run that the asset's last materialisation names; None where there is none, or it was deleted in MLflow."""
    which = dg.AssetRecordsFilter(dg.AssetKey(asset), [partition] if partition else None)
    made = context.instance.fetch_materializations(which, limit=1).records
    event = made[0].asset_materialization if made else None
    link = event.metadata.get("mlflow_run") if event else None
    return tracking.at(str(link.value)) if link else None


def folds_behind(context: dg.AssetExecutionContext, tracking: Tracking, task: str) -> str:
    """The runs of a task's fold models, as Markdown.

    They lie under another run of the task than today's where only later settings have changed since they were trained.
    """
    runs = {fold: run_behind(context, tracking, [task, "fold_model"], str(fold)) for fold in FOLDS}
    return f"Trained: {', '.join(f'[fold {fold}]({run.link})' for fold, run in runs.items() if run)}."
