"""The ensemble of a task's four models on the test set."""

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from assets.common import OWNERS, Holds, code_version, logged, tags, told, verdict
from assets.training import development_version, finite, parameters, same_study, version_of
from hnp_pipeline import schemas
from hnp_pipeline.project import Project
from hnp_pipeline.study import Study
from hnp_pipeline.tables import content_hash, read_table, write_table
from hnp_pipeline.vocabulary import FOLDS
from resources.compute import Compute, reserved
from resources.figures import as_metadata, roc, roc_curves
from resources.images import Images
from resources.tables import Tables, markdown
from resources.tracking import Tracking


def build(study: Study, task: str) -> list[dg.AssetsDefinition]:
    """The asset `<task>/test_evaluation`."""

    @dg.asset(
        key_prefix=task,
        deps=[[task, "fold_model"], [task, "cross_validation"], "test_set"],
        group_name=task,
        op_tags=reserved(study.compute, "test_evaluation"),
        owners=OWNERS,
        kinds={"pytorch", "mlflow"},
        tags=tags(Holds.PSEUDONYMS, task),
        description="The mean of the four models on patients none of them has seen: probabilities, decisions, metrics.",
        code_version=code_version(["evaluation", "training/inference"], study.evaluation),
        check_specs=[
            dg.AssetCheckSpec(
                "models_of_one_study",
                asset=[task, "test_evaluation"],
                blocking=True,
                description="One development set, cache and setting behind all four models.",
            ),
            dg.AssetCheckSpec(
                "metrics_finite",
                asset=[task, "test_evaluation"],
                blocking=True,
                description="Figures lie in 0 to 1.",
            ),
            dg.AssetCheckSpec(
                "test_data_there",
                asset=[task, "test_evaluation"],
                description="A test collection has arrived.",
            ),
        ],
    )
    def test_evaluation(
        context: dg.AssetExecutionContext,
        project: dg.ResourceParam[Project],
        tables: dg.ResourceParam[Tables],
        images: dg.ResourceParam[Images],
        compute: dg.ResourceParam[Compute],
        tracking: dg.ResourceParam[Tracking],
    ) -> dg.MaterializeResult:
        from hnp_pipeline.evaluation.test_evaluation import evaluate_test
        from hnp_pipeline.evaluation.test_predictions import predict_test
        from hnp_pipeline.training.inference import load_model

        folder, report = project.home.task(task), logged(context)
        examples = read_table(project.home.part("test_set"))
        waiting = examples.num_rows == 0
        with told():
            same = same_study(project, task)
            predictions, attention = schemas.empty(schemas.TEST_IMAGE_PREDICTIONS), None
            if not waiting:
                models = [load_model(project.home.fold(task, k), compute.device()) for k in FOLDS]
                predictions, attention = predict_test(
                    models, images.store(examples), examples, compute.threads, report
                )
            patients, metrics = evaluate_test(
                predictions, read_table(folder / "thresholds.parquet"), study.evaluation, report
            )
        write_table(predictions, folder / "test_image_predictions.parquet")
        write_table(patients, folder / "test_predictions.parquet")
        metadata = tables.write(metrics, folder / "test_metrics.parquet")

        field = pc.field
        aucs = metrics.filter((field("metric") == "auc") & field("fold").is_null())
        parent = tracking.parent(task, study.hash, development_version(context))
        identity = {"settings": study.hash, "development_set": development_version(context)}
        with tracking.run(context, {"kind": "evaluation", "task": task, **identity}, parent) as run:
            run.params(parameters(study) | {"task": task})
            run.dataset("test_set", version_of(context, "test_set"), examples.num_rows, "testing")
            names = [
                f"test_auc_{level}_{unit}"
                for level, unit in zip(aucs["level"].to_pylist(), aucs["unit"].to_pylist(), strict=True)
            ]
            figures = dict(zip(names, aucs["value"].to_pylist(), strict=True))
            run.metrics(figures)
            for name in ("test_metrics", "test_predictions", "test_image_predictions"):
                run.artifact(folder / f"{name}.parquet")
            run.table(metrics, "test_metrics")
            if attention:
                run.table(attention, "attention_by_view")
            curves = None if waiting else roc(roc_curves(patients))
            if curves:
                run.picture(curves, "roc_test")
        with tracking.reopened(context, parent) as task_run:  # so that two task runs compare by both
            task_run.metrics(figures)
        shown = aucs.select(["level", "unit", "value", "ci_low", "ci_high", "reason"])
        return dg.MaterializeResult(
            data_version=dg.DataVersion(
                content_hash(pa.table({"of": [content_hash(t) for t in (predictions, patients, metrics)]}))
            ),
            metadata=metadata
            | {
                "mlflow_run": dg.MetadataValue.url(run.link),
                "waiting": waiting,
                "auc": dg.MetadataValue.md(markdown(shown)),
                **({"roc": as_metadata(curves)} if curves else {}),
                **({"attention_by_view": dg.MetadataValue.md(markdown(attention))} if attention else {}),
            },
            check_results=[
                verdict(
                    "models_of_one_study", same, "one development set and one setting behind all four models"
                ),
                finite(metrics, folder / "test_metrics.parquet"),
                verdict(
                    "test_data_there",
                    not waiting,
                    "waiting for a test collection" if waiting else f"{examples.num_rows} images",
                    warn=True,
                ),
            ],
        )

    return [test_evaluation]
