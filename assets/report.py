"""What people open: the tables to query, the report to read."""

import datetime
import importlib.metadata
import platform
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.parquet import read_metadata, read_schema

from assets.common import INTAKE, OWNERS, Holds, tags, told, verdict
from assets.runs import run_behind
from assets.training import development_version
from hnp_pipeline import schemas
from hnp_pipeline.automation.planner import GATHERS, TOLERATES
from hnp_pipeline.automation.survey import known_collections, roles
from hnp_pipeline.cohort.database import build_database
from hnp_pipeline.cohort.examples import changing_patients
from hnp_pipeline.fingerprint import source_hash
from hnp_pipeline.project import Project
from hnp_pipeline.study import Study
from hnp_pipeline.tables import content_hash, content_hash_of, read_table
from hnp_pipeline.vocabulary import ALL, HNP
from resources import checkout
from resources.compute import reserved
from resources.erasure import forget_sheets
from resources.tables import Tables, markdown
from resources.tracking import Tracking

_FROM_INTAKE = {
    "radiographs": ["radiographs"],
    "readings": ["readings"],
    "surgeries": ["surgeries"],
    "rejected_rows": ["readings_rejected", "surgeries_rejected"],
    "reading_disagreements": ["readings_disagreements"],
}
_FROM_TASKS = {
    "validation_predictions": ["validation_predictions"],
    "test_image_predictions": ["test_image_predictions"],
    "test_predictions": ["test_predictions"],
    "thresholds": ["thresholds"],
    "metrics": ["validation_metrics", "test_metrics"],
    "gradcam": ["gradcam"],
    "subgroups": ["subgroups"],
    "averaging": ["averaging"],
    "calibration": ["calibration"],
    "reliability": ["reliability"],
    "decision_curve": ["decision_curve"],
    "level_matrix": ["validation_level_matrix", "test_level_matrix"],
    "level_lead": ["validation_level_lead", "test_level_lead"],
}
_FROM_PARTS = ["comparisons", "localisation"]
_RUNS = {"task": "cross_validation", "evaluation": "test_evaluation", "model": "registered_model"}


def build(study: Study) -> list[dg.AssetsDefinition]:
    """The assets `warehouse` and `study_report`."""
    of_tasks = [
        dg.AssetKey([t, a])
        for t in study.tasks
        for a in ("cross_validation", "test_evaluation", "diagnostics", "gradcam")
    ]

    @dg.asset(
        deps=[*INTAKE, "withdrawn", "cohort", "exclusions", "cohort_flow", *of_tasks, *_FROM_PARTS],
        group_name="report",
        op_tags=reserved(study.compute),
        owners=OWNERS,
        kinds={"duckdb", "parquet"},
        tags=tags(Holds.PSEUDONYMS),
        description="Every table of the study in one DuckDB file (hnp.duckdb), to query with any client.",
        code_version=source_hash("cohort/database", "schemas"),
        metadata={TOLERATES: INTAKE, GATHERS: True},
        check_specs=[
            dg.AssetCheckSpec(
                "schemas_hold", asset="warehouse", blocking=True, description="Every table has its columns."
            )
        ],
    )
    def warehouse(
        project: dg.ResourceParam[Project], tables: dg.ResourceParam[Tables]
    ) -> dg.MaterializeResult:
        home = project.home
        collections = sorted(roles(home))
        withdrawn = tables.withdrawn()
        for name, parts in _FROM_INTAKE.items():
            delivered = [home.intake(c, p) for c in collections for p in parts]
            tables.write_shared(name, delivered, withdrawn if name == "radiographs" else None)
        for name, parts in _FROM_TASKS.items():
            tables.write_shared(name, [home.task(t) / f"{p}.parquet" for t in study.tasks for p in parts])
        for name in _FROM_PARTS:
            tables.write_shared(name, [home.part(name)])
        paths = {n: home.table(n) for n in schemas.TABLES if home.table(n).exists()}
        with told():
            build_database(paths, home.database)
        rows = {n: read_metadata(p).num_rows for n, p in paths.items()}
        counts = pa.table(
            {"table": list(rows), "rows": list(rows.values()), "holds": [schemas.TABLES[n][0] for n in rows]}
        )
        wrong = [
            n for n, p in paths.items() if read_schema(p).names != [c.name for c in schemas.TABLES[n][1]]
        ]
        return dg.MaterializeResult(
            data_version=dg.DataVersion(
                content_hash(pa.table({"of": [content_hash_of(p) for p in paths.values()]}))
            ),
            metadata={
                "tables": dg.MetadataValue.md(markdown(counts)),
                "database": dg.MetadataValue.path(home.database),
            },
            check_results=[
                verdict(
                    "schemas_hold",
                    not wrong,
                    f"{len(rows)} tables; wrong columns in: {', '.join(wrong) or 'none'}",
                )
            ],
        )

    @dg.asset(
        deps=["warehouse", "near_duplicates"],
        group_name="report",
        op_tags=reserved(study.compute),
        owners=OWNERS,
        kinds={"html", "matplotlib"},
        tags=tags(Holds.PICTURES),
        description="The study as a page to read and print: flow, tables beside the paper's, curves, heat maps, settings.",
        code_version=f"{source_hash('report')}-{study.hash}",
    )
    def study_report(
        context: dg.AssetExecutionContext,
        project: dg.ResourceParam[Project],
        tracking: dg.ResourceParam[Tracking],
    ) -> dg.MaterializeResult:
        from hnp_pipeline.report.study_report import write_report

        home = project.home
        if not study.report.pictures and (removed := forget_sheets(home)):
            context.log.info(f"report.pictures is off: {removed} contact sheets removed from MLflow")
        with told():
            write_report(
                home.root / "tables", study, facts(context, project, tracking), home.root, home.report
            )
        return dg.MaterializeResult(
            data_version=dg.DataVersion(development_version(context) + study.hash),
            metadata={
                "report": dg.MetadataValue.path(home.report),
                "link": dg.MetadataValue.url(tracking.report),
                "bytes": home.report.stat().st_size,
                "test_auc": dg.MetadataValue.md(markdown(_headlines(home.table("metrics")))),
            },
        )

    return [warehouse, study_report]


def facts(context: dg.AssetExecutionContext, project: Project, tracking: Tracking) -> dict[str, Any]:
    """What the report says of how it was made."""
    known = roles(project.home)
    runs = [
        {"task": t, "name": f"{t} ({kind})", "url": run.link}
        for t in project.study.tasks
        for kind, step in _RUNS.items()
        if (run := run_behind(context, tracking, [t, step]))
    ]
    cohort = read_table(project.home.table("cohort"))
    changing = changing_patients(cohort).filter(pc.field("level") == "hnp")["changing"]
    packages = ("dagster", "mlflow", "torch", "timm", "opencv-python", "duckdb", "scikit-learn", "numpy")
    never_read = sorted(set(known) - set(known_collections(context.instance)))
    notes = [f"the collection {c} has never been read" for c in never_read]
    pairs = project.home.part("near_duplicates")
    if pairs.exists() and (n := read_table(pairs, []).num_rows):
        notes.append(
            f"{n} pairs of pictures of different patients or splits look the same: see the asset near_duplicates"
        )
    return {
        "study": project.study.name,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            **{p: importlib.metadata.version(p) for p in packages},
        },
        "git": checkout.describe(),
        "settings_hash": project.study.hash,
        "development_set": development_version(context),
        "mlflow": runs,
        "roles": {c: role.value for c, role in known.items()},
        "label_disagreements": pc.sum(changing).as_py() or 0,
        "notes": notes,
    }


def _headlines(metrics: Path) -> pa.Table:
    """The ensembles' AUCs by patient, over the levels and at any: what one opens the report for."""
    field = pc.field
    asked = (field("metric") == "auc") & (field("unit") == "patient") & field("fold").is_null()
    rows = read_table(metrics).filter(asked & (field("split") == "test") & field("level").isin([ALL, HNP]))
    return rows.select(["task", "level", "value", "ci_low", "ci_high", "reason"])
