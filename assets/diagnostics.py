"""What a reviewer asks of the predictions: calibration, use, groups, the level, averaging; and what is better than what."""

from collections.abc import Mapping

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from assets.common import OWNERS, Holds, code_version, logged, tags, told, verdict
from hnp_pipeline import schemas
from hnp_pipeline.project import Project
from hnp_pipeline.study import Study
from hnp_pipeline.tables import content_hash, read_table, write_table
from hnp_pipeline.vocabulary import ALL, LEVELS, outputs
from resources.compute import reserved
from resources.tables import Tables, markdown

_FEW = "too few patients to tell"


def build(study: Study, task: str) -> list[dg.AssetsDefinition]:
    """The asset `<task>/diagnostics`."""
    by_level = outputs(task) == LEVELS

    @dg.asset(
        key_prefix=task,
        deps=[[task, "cross_validation"], [task, "test_evaluation"], "cohort"],
        group_name=task,
        op_tags=reserved(study.compute),
        owners=OWNERS,
        kinds={"parquet"},
        tags=tags(Holds.FIGURES, task),
        description="Whether 30 % means 30 %, whether acting on it helps, for whom it works, whether it reads the level "
        "or general degeneration, and what averaging over models and images brought.",
        code_version=code_version(["evaluation"], study.evaluation),
        check_specs=[
            dg.AssetCheckSpec(
                "own_level_leads",
                asset=[task, "diagnostics"],
                description="Each level's score tells its own level better than the others' scores do: by the "
                "interval of the mean lead, by patient.",
            )
        ]
        if by_level
        else [],
    )
    def diagnostics(
        context: dg.AssetExecutionContext, project: dg.ResourceParam[Project]
    ) -> dg.MaterializeResult:
        from hnp_pipeline.evaluation.calibration import calibration
        from hnp_pipeline.evaluation.comparisons import averaging
        from hnp_pipeline.evaluation.decision_curve import decision_curve
        from hnp_pipeline.evaluation.level_matrix import level_matrix
        from hnp_pipeline.evaluation.subgroups import subgroups

        folder, settings = project.home.task(task), study.evaluation
        validation = read_table(folder / "validation_predictions.parquet")
        test = read_table(folder / "test_image_predictions.parquet")
        thresholds = read_table(folder / "thresholds.parquet")
        cohort = read_table(project.home.table("cohort"))
        with told():
            reliability, figures = calibration(validation, test, settings)
            made = {"reliability": reliability, "calibration": figures}
            made["decision_curve"] = decision_curve(validation, test, settings)
            made["averaging"] = averaging(test, settings)
            made["subgroups"] = subgroups(test, thresholds, cohort, settings, report=logged(context))
            for split, predictions in (("validation", validation), ("test", test)):
                matrix, lead = level_matrix(predictions, split, settings)
                made |= {f"{split}_level_matrix": matrix, f"{split}_level_lead": lead}
        for name, table in made.items():
            write_table(table, folder / f"{name}.parquet")
        return dg.MaterializeResult(
            data_version=_version(made),
            metadata={
                "waiting": test.num_rows == 0,
                "rows": dg.MetadataValue.md(markdown(_counts(made))),
                "calibration": dg.MetadataValue.md(markdown(_unscaled(figures))),
                "averaging": dg.MetadataValue.md(markdown(_means(made["averaging"]))),
                "level_lead": dg.MetadataValue.md(markdown(_leads(made))),
            },
            check_results=[own_level_leads(made)] if by_level else [],
        )

    return [diagnostics]


def build_comparisons(study: Study) -> list[dg.AssetsDefinition]:
    """The asset `comparisons`, over all tasks."""
    tasks = study.tasks

    @dg.asset(
        deps=[
            *(dg.AssetKey([t, a]) for t in tasks for a in ("cross_validation", "test_evaluation")),
            "cohort",
        ],
        group_name="report",
        op_tags=reserved(study.compute),
        owners=OWNERS,
        kinds={"parquet"},
        tags=tags(Holds.FIGURES),
        description="Paired differences in AUC with intervals: every two tasks, and each task against age and sex alone, "
        "since a model may read little more than these.",
        code_version=code_version(["evaluation"], study.evaluation),
        check_specs=[
            dg.AssetCheckSpec(
                "better_than_age_and_sex",
                asset="comparisons",
                description="Each task's AUC lies above that of age and sex alone, by the interval of the difference.",
            )
        ],
    )
    def comparisons(
        project: dg.ResourceParam[Project], tables: dg.ResourceParam[Tables]
    ) -> dg.MaterializeResult:
        from hnp_pipeline.evaluation.comparisons import compare_study

        def of_all(name: str, columns: list[schemas.Column]) -> pa.Table:
            parts = [read_table(project.home.task(t) / f"{name}.parquet") for t in tasks]
            return pa.concat_tables([schemas.empty(columns).replace_schema_metadata(None), *parts])

        validation = of_all("validation_predictions", schemas.VALIDATION_PREDICTIONS)
        test = of_all("test_image_predictions", schemas.TEST_IMAGE_PREDICTIONS)
        with told():
            table = compare_study(
                validation, test, read_table(project.home.table("cohort")), study.evaluation
            )
        metadata = tables.write(table, project.home.part("comparisons"))
        return dg.MaterializeResult(
            data_version=_version({"comparisons": table}),
            metadata=metadata
            | {
                "waiting": test.num_rows == 0,
                "differences": dg.MetadataValue.md(markdown(_means(table))),
            },
            check_results=[better_than_age_and_sex(table)],
        )

    return [comparisons]


def own_level_leads(made: Mapping[str, pa.Table]) -> dg.AssetCheckResult:
    """By the test set where there is one, else by validation."""
    rows = _leads(made).filter(pc.field("level") == ALL).to_pylist()
    last = rows[-1] if rows else {"ci_low": None}
    if last["ci_low"] is None:
        return verdict("own_level_leads", False, "no lead can be computed: a class is absent", warn=True)
    words = (
        f"{last['split']}: mean lead {last['lead']:+.3f} ({last['ci_low']:+.3f} to {last['ci_high']:+.3f})"
    )
    if last["reason"]:
        return verdict("own_level_leads", False, f"{words}: {_FEW} ({last['reason']})", warn=True)
    return verdict("own_level_leads", last["ci_low"] > 0, words, warn=True)


def better_than_age_and_sex(table: pa.Table) -> dg.AssetCheckResult:
    """By the test set where there is one, else by validation; over the five levels, or at any where there is but that."""
    rows = _means(table).filter(pc.field("second") == "age_and_sex").to_pylist()
    last = rows[-1]["split"] if rows else ""
    by_task = {r["first"]: r for r in sorted(rows, key=lambda r: r["level"] == ALL) if r["split"] == last}
    unknown = [t for t, r in by_task.items() if r["ci_low"] is None]
    few = [t for t, r in by_task.items() if r["ci_low"] is not None and r["reason"]]
    behind = [t for t, r in by_task.items() if t not in (*unknown, *few) and r["ci_low"] <= 0]
    found = {"not shown": behind, _FEW: few, "cannot be computed": unknown}
    words = f"{last}: " + "; ".join(f"{what} for {', '.join(of) or 'none'}" for what, of in found.items())
    return verdict("better_than_age_and_sex", bool(by_task) and not any(found.values()), words, warn=True)


def _version(made: Mapping[str, pa.Table]) -> dg.DataVersion:
    return dg.DataVersion(content_hash(pa.table({"of": [content_hash(t) for t in made.values()]})))


def _counts(made: Mapping[str, pa.Table]) -> pa.Table:
    return pa.table({"table": list(made), "rows": [t.num_rows for t in made.values()]})


def _unscaled(figures: pa.Table) -> pa.Table:
    rows = figures.filter((pc.field("scaling") == "none") & (pc.field("unit") == "patient"))
    return rows.select(["split", "level", "brier", "ci_low", "ci_high", "ece", "reason"])


def _means(differences: pa.Table) -> pa.Table:
    """The rows to begin with: by patient, over the five levels or at any."""
    rows = differences.filter((pc.field("unit") == "patient") & pc.field("level").isin([ALL, "hnp"]))
    shown = (
        "split",
        "first",
        "second",
        "level",
        "auc_first",
        "auc_second",
        "difference",
        "ci_low",
        "ci_high",
        "reason",
    )
    return rows.select([c for c in shown if c in rows.column_names])


def _leads(made: Mapping[str, pa.Table]) -> pa.Table:
    rows = pa.concat_tables([made["validation_level_lead"], made["test_level_lead"]])
    shown = ["split", "level", "lead", "ci_low", "ci_high", "reason"]
    return rows.filter(pc.field("unit") == "patient").select(shown)
