"""Jobs to launch by hand. Preparing, training and evaluating are apart, so that a fold never drags the rest along."""

import dagster as dg
from dagster import AssetSelection
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from hnp_pipeline.study import Study

# What each `--until` of `hnp run` makes; it also says where the jobs begin and end.
STAGES = ("cohort", "imaging", "training", "evaluation", "report")


def goals(study: Study, until: str) -> set[dg.AssetKey]:
    """The last assets of a stage; all they are made of comes with them.

    Raises:
        ValueError: there is no such stage.
    """
    reached = STAGES[: STAGES.index(until) + 1]
    keys = {dg.AssetKey(["warehouse"])}
    if "cohort" in reached:
        keys |= {dg.AssetKey("cohort")}
    if "imaging" in reached:
        keys |= {dg.AssetKey(k) for k in ("development_set", "test_set", "near_duplicates")}
    for task in study.tasks:
        if "training" in reached:
            keys |= {dg.AssetKey([task, "cross_validation"])}
        if "evaluation" in reached:
            keys |= {dg.AssetKey([task, "diagnostics"]), dg.AssetKey("comparisons")}
        if "report" in reached:
            keys |= {dg.AssetKey([task, "gradcam"]), dg.AssetKey([task, "registered_model"])}
    if "report" in reached:
        keys |= {dg.AssetKey(name) for name in ("localisation", "study_report", "cards")}
    return keys


def jobs(study: Study) -> list[UnresolvedAssetJobDefinition]:
    """`prepare_collection`, `prepare`, one `train_<task>` a task, `evaluate`."""
    keys = AssetSelection.assets
    collection = keys("radiographs", "readings", "surgeries", "clahe_cache")
    evaluated = [
        [t, a]
        for t in study.tasks
        for a in ("cross_validation", "test_evaluation", "diagnostics", "gradcam", "registered_model")
    ]
    return [
        dg.define_asset_job(
            "prepare_collection", collection, description="Read one collection and cache its images."
        ),
        dg.define_asset_job(
            "prepare",
            keys(
                "withdrawn",
                "cohort",
                "exclusions",
                "cohort_flow",
                "development_set",
                "test_set",
                "near_duplicates",
            ),
            description="Match, exclude, split: after every collection has been read.",
        ),
        *[
            dg.define_asset_job(f"train_{t}", keys([t, "fold_model"]), description=f"Train folds of {t}.")
            for t in study.tasks
        ],
        dg.define_asset_job(
            "evaluate",
            keys(*evaluated, "comparisons", "localisation", "warehouse", "study_report", "cards"),
            description="Cross-validation, test, heat maps, tables and report: after all folds have been trained.",
        ),
    ]
