"""The model to use: a task's four fold models as one, registered in MLflow."""

import dagster as dg
import pyarrow as pa

from assets.common import OWNERS, Holds, code_version, tags, told, verdict
from assets.training import development_version, parameters, same_study
from hnp_pipeline.cohort.examples import by_content
from hnp_pipeline.project import Project
from hnp_pipeline.study import Study
from hnp_pipeline.tables import read_table
from hnp_pipeline.vocabulary import FOLDS, NOTICE
from resources.compute import reserved
from resources.packing import PACKED
from resources.tracking import Tracking


def build(study: Study, task: str) -> list[dg.AssetsDefinition]:
    """The asset `<task>/registered_model`."""

    @dg.asset(
        key_prefix=task,
        deps=[[task, "fold_model"], [task, "cross_validation"]],
        group_name=task,
        op_tags=reserved(study.compute),
        owners=OWNERS,
        kinds={"mlflow", "safetensors"},
        tags=tags(Holds.MODELS, task),
        description="The four models as one, in MLflow's registry: from the bytes of a patient's radiographs to "
        f"probabilities and decisions. {NOTICE}",
        code_version=code_version([*PACKED], study.evaluation, study.intake, study.imaging, study.succession),
        check_specs=[
            dg.AssetCheckSpec(
                "models_of_one_study",
                asset=[task, "registered_model"],
                blocking=True,
                description="One development set, cache and setting behind all four models.",
            ),
            dg.AssetCheckSpec(
                "not_worse_than_champion",
                asset=[task, "registered_model"],
                description="Validation AUC against the champion's, by the interval of the paired difference. Where it "
                "passes, the alias champion moves here; where not, it stays, and you may move it by hand.",
            ),
        ],
    )
    def registered_model(
        context: dg.AssetExecutionContext,
        project: dg.ResourceParam[Project],
        tracking: dg.ResourceParam[Tracking],
    ) -> dg.MaterializeResult:
        from resources.registry import Registry

        registry = Registry(tracking, study, task)
        with told():
            same = same_study(project, task)
            validation = _validation(project, task)
        content = registry.content()
        version, identity = registry.find(content), {"settings": study.hash}
        identity["development_set"] = development_version(context)
        new = version is None
        if version is None:
            tags = {"kind": "model", "task": task, **identity}
            with tracking.run(context, tags, tracking.parent(task, **identity)) as run:
                run.params(parameters(study) | {"task": task})
                images = read_table(project.home.part("development_set"), []).num_rows
                run.dataset("development_set", identity["development_set"], images, "training")
                version = registry.register(run, content, validation, {"task": task, **identity})
        with told():
            champion, judged = registry.contest(version, validation)
        figures = {
            k: v
            for k in ("auc_new", "auc_old", "difference", "low", "high", "images", "patients")
            if (v := getattr(judged, k)) is not None
        }
        return dg.MaterializeResult(
            data_version=dg.DataVersion(content),
            metadata={
                "mlflow_run": dg.MetadataValue.url(tracking.link(registry.run_of(version))),
                "model": registry.name,
                "version": version,
                "newly_registered": new,
                "champion": champion,
                "registry": dg.MetadataValue.url(registry.link(version)),
                "notice": NOTICE,
            },
            check_results=[
                verdict(
                    "models_of_one_study", same, "one development set and one setting behind all four models"
                ),
                dg.AssetCheckResult(
                    check_name="not_worse_than_champion",
                    passed=judged.passed,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=judged.words,
                    metadata={"verdict": judged.words, "version": version, "champion": champion, **figures},
                ),
            ],
        )

    return [registered_model]


def _validation(project: Project, task: str) -> pa.Table:
    """What each model said of the images that it had not seen, by content: no name of image or patient is in it."""
    examples = by_content(read_table(project.home.part("development_set"))).select(["sha256", "patient"])
    parts = []
    for fold in FOLDS:
        part = read_table(project.home.fold(task, fold) / "predictions.parquet")
        parts.append(part.append_column("fold", pa.array([fold] * part.num_rows, pa.int32())))
    joined = pa.concat_tables(parts).join(examples, "sha256", join_type="inner")
    order = [("fold", "ascending"), ("sha256", "ascending"), ("level", "ascending")]
    return joined.sort_by(order).select(["fold", "sha256", "patient", "level", "probability", "label"])
