"""Four fold models a task, and what they say of the fold each has not seen."""

from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from assets.common import (
    FOLDS,
    OWNERS,
    TRAINING_POOL,
    Holds,
    code_version,
    logged,
    query,
    tags,
    told,
    verdict,
)
from assets.epochs import Epochs
from assets.runs import folds_behind
from hnp_pipeline import schemas, vocabulary
from hnp_pipeline.cohort.examples import by_content
from hnp_pipeline.fold_models import described, require_one_study
from hnp_pipeline.project import Project
from hnp_pipeline.study import Study, dump_study
from hnp_pipeline.tables import content_hash, read_table, write_table
from resources.compute import Compute, reserved
from resources.figures import as_metadata, roc, roc_curves
from resources.images import Images
from resources.tables import Tables, markdown
from resources.tracking import Tracking

_TITLES = {
    "presence": "any herniation",
    "level": "herniation at each level",
    "multitask": "herniation at each level, with age as an auxiliary target",
    "multiview": "herniation at each level from all images of a patient at once",
}


def build(study: Study, task: str) -> list[dg.AssetsDefinition]:
    """The assets `<task>/fold_model` and `<task>/cross_validation`."""
    trained_by = code_version(["training"], study.training)

    @dg.asset(
        key_prefix=task,
        partitions_def=FOLDS,
        deps=["development_set"],
        group_name=task,
        op_tags=reserved(study.compute, "fold_model"),
        owners=OWNERS,
        kinds={"pytorch", "mlflow"},
        tags=tags(Holds.MODELS, task),
        # on a cluster, the GPUs that a fold asks for are the queue
        pool=TRAINING_POOL if study.compute.executor == "local" else None,
        description=f"A network that predicts {_TITLES[task]}, trained on three folds and validated on the fourth.",
        code_version=trained_by,
        retry_policy=None,
    )
    def fold_model(
        context: dg.AssetExecutionContext,
        project: dg.ResourceParam[Project],
        images: dg.ResourceParam[Images],
        compute: dg.ResourceParam[Compute],
        tracking: dg.ResourceParam[Tracking],
    ) -> dg.MaterializeResult:
        from hnp_pipeline.training.engine import train_fold
        from hnp_pipeline.training.results import NonFiniteError

        fold, directory = int(context.partition_key), project.home.fold(task, int(context.partition_key))
        examples = read_table(project.home.part("development_set"))
        identity = {"settings": study.hash, "development_set": development_version(context)}
        parent = tracking.parent(task, **identity)
        tags = {"kind": "fold", "task": task, "fold": str(fold), **identity}
        with tracking.run(context, tags, parent) as run, run.watched():
            run.params(parameters(study) | {"task": task, "fold": fold})
            run.dataset("development_set", identity["development_set"], examples.num_rows, "training")
            epochs = Epochs(context, run)
            with told():
                store = images.store(examples)
                try:
                    result = train_fold(
                        store,
                        by_content(examples),
                        task,
                        fold,
                        study.training,
                        study.imaging,
                        directory,
                        compute.threads,
                        compute.device(),
                        logged(context),
                        epochs,
                        compute.devices(),
                        store.content,
                    )
                except NonFiniteError as error:
                    raise error.named(examples) from None
            run.artifact(directory / "model.json")
            best = result.history[result.best_epoch - 1]
            run.metrics({"best_auc": best.mean_auc, "best_epoch": result.best_epoch})
            run.params({"memory_format": result.memory_format})
            stages = {f"seconds_{k}": v for k, v in result.seconds.items()}
            stages["data_share_of_step"] = result.data_share
            run.metrics(stages)
            curves = epochs.curves
            run.picture(curves, "curves")
            curves_of_roc = roc(roc_curves(result.predictions))
            run.picture(curves_of_roc, "roc_validation")
        model = described(directory)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(f"{model['model_sha256'][:16]}-{model['predictions']}"),
            metadata={
                "mlflow_run": dg.MetadataValue.url(run.link),
                "best_epoch": result.best_epoch,
                "validation_auc": "not computable" if best.mean_auc is None else best.mean_auc,
                "curves": as_metadata(curves),
                "roc": as_metadata(curves_of_roc),
                "memory_format": result.memory_format,
                **stages,
            },
        )

    @dg.asset(
        key_prefix=task,
        deps=[[task, "fold_model"], "development_set", "cohort"],
        group_name=task,
        op_tags=reserved(study.compute),
        owners=OWNERS,
        kinds={"parquet", "mlflow"},
        tags=tags(Holds.PSEUDONYMS, task),
        description="Each model on the fold it has not seen: probabilities, operating points, metrics with intervals.",
        code_version=code_version(["evaluation"], study.evaluation),
        check_specs=[
            dg.AssetCheckSpec(
                "models_of_one_study",
                asset=[task, "cross_validation"],
                blocking=True,
                description="All four models come from the same development set, images and settings.",
            ),
            dg.AssetCheckSpec(
                "metrics_finite",
                asset=[task, "cross_validation"],
                blocking=True,
                description="Figures lie in 0 to 1.",
            ),
        ],
    )
    def cross_validation(
        context: dg.AssetExecutionContext,
        project: dg.ResourceParam[Project],
        tables: dg.ResourceParam[Tables],
        tracking: dg.ResourceParam[Tracking],
    ) -> dg.MaterializeResult:
        from hnp_pipeline.evaluation.cross_validation import cross_validate

        folder = project.home.task(task)
        examples = read_table(project.home.part("development_set"), ["sha256", "image_id", "patient_key"])
        with told():
            same = same_study(project, task)
            predictions = _named(project, task, examples)
            thresholds, metrics = cross_validate(predictions, study.evaluation, logged(context))
        write_table(predictions, folder / "validation_predictions.parquet")
        write_table(thresholds, folder / "thresholds.parquet")
        metadata = tables.write(metrics, folder / "validation_metrics.parquet")
        parent = tracking.parent(task, study.hash, development_version(context))
        means = metrics.filter(
            (pc.field("unit") == vocabulary.unit(task))
            & pc.field("fold").is_null()
            & (pc.field("metric") == "auc")
        )
        values = dict(zip(means["level"].to_pylist(), means["value"].to_pylist(), strict=True))
        with tracking.reopened(context, parent) as run:
            run.params(parameters(study) | {"task": task})
            run.dataset("development_set", development_version(context), examples.num_rows, "validation")
            run.metrics({f"validation_auc_{k}": v for k, v in values.items()} | spread(metrics, task))
            run.artifact(folder / "validation_metrics.parquet")
            run.table(metrics, "validation_metrics")
            run.table(thresholds, "thresholds")
            curves = roc(roc_curves(predictions))
            run.picture(curves, "roc_validation")
            run.text(dump_study(study), "study.yaml")
            run.note(folds_behind(context, tracking, task))
        return dg.MaterializeResult(
            data_version=dg.DataVersion(
                content_hash(pa.table({"of": [content_hash(t) for t in (predictions, thresholds, metrics)]}))
            ),
            metadata=metadata
            | {
                "mlflow_run": dg.MetadataValue.url(run.link),
                "auc_by_level": dg.MetadataValue.md(
                    markdown(means.select(["level", "value", "ci_low", "ci_high"]))
                ),
                "roc": as_metadata(curves),
            },
            check_results=[
                verdict(
                    "models_of_one_study", same, "one development set and one setting behind all four models"
                ),
                finite(metrics, folder / "validation_metrics.parquet"),
            ],
        )

    return [fold_model, cross_validation]


def parameters(study: Study) -> dict[str, object]:
    """The settings worth comparing runs by, flat."""
    training = study.training.model_dump(mode="json")
    flat = {k: v for k, v in training.items() if not isinstance(v, dict)}
    return flat | {
        "weights": study.training.weights.source,
        "size": study.imaging.size,
        "clahe_clip_limit": study.imaging.clahe_clip_limit,
        "clahe_order": study.imaging.clahe_order,
        "clahe_tiles": study.imaging.clahe_tiles,
        "aspect": study.imaging.aspect,
        "threshold": study.evaluation.threshold,
        "decision": study.evaluation.decision,
        "interval_days": study.cohort.interval_days,
        "settings": study.hash,
    }


def development_version(context: dg.AssetExecutionContext) -> str:
    """The data version of the development set that stands today."""
    return version_of(context, "development_set")


def version_of(context: dg.AssetExecutionContext, asset: str) -> str:
    """The data version of an asset that stands today."""
    record = context.instance.get_latest_materialization_event(dg.AssetKey(asset))
    tags = record.asset_materialization.tags if record and record.asset_materialization else None
    return (tags or {}).get("dagster/data_version", "")


def same_study(project: Project, task: str) -> bool:
    """Whether the task's four models may be one ensemble: if not, `require_one_study` says why."""
    require_one_study(project.home.task(task))
    return True


def spread(metrics: pa.Table, task: str) -> dict[str, float]:
    """The sample standard deviation over folds of the AUC by image (by patient where the task answers for one), by level.

    None of a single fold.
    """
    field = pc.field
    rows = metrics.filter(
        (field("unit") == vocabulary.unit(task))
        & field("fold").is_valid()
        & (field("metric") == "auc")
        & field("value").is_valid()
    )
    by_level = rows.group_by("level").aggregate([("value", "stddev", pc.VarianceOptions(ddof=1))])
    return {
        f"validation_auc_{k}_sd": v
        for k, v in zip(by_level["level"].to_pylist(), by_level["value_stddev"].to_pylist(), strict=True)
        if v is not None
    }


def finite(metrics: pa.Table, path: Path) -> dg.AssetCheckResult:
    """The check that every figure is null or lies in 0 to 1, in the table that stands at `path`."""
    values = metrics["value"]
    wrong = metrics.filter(pc.invert(pc.and_(pc.greater_equal(values, 0), pc.less_equal(values, 1))))
    found = f"{metrics.num_rows} figures, {values.null_count} not computable, {wrong.num_rows} out of range"
    rows = query(path, "SELECT * FROM {} WHERE value NOT BETWEEN 0 AND 1")
    return verdict("metrics_finite", not wrong.num_rows, found, rows=rows)


def _named(project: Project, task: str, examples: pa.Table) -> pa.Table:
    """The folds' validation predictions under today's image ids."""
    schema = schemas.schema(schemas.VALIDATION_PREDICTIONS)
    parts = []
    for fold in vocabulary.FOLDS:
        part = read_table(project.home.fold(task, fold) / "predictions.parquet")
        n = part.num_rows
        part = part.append_column("task", pa.array([task] * n)).append_column(
            "fold", pa.array([fold] * n, pa.int32())
        )
        parts.append(part)
    joined = pa.concat_tables(parts).join(examples, "sha256", join_type="inner")
    order = [("fold", "ascending"), ("sha256", "ascending"), ("level", "ascending")]
    return joined.sort_by(order).select(schema.names).cast(schema)
