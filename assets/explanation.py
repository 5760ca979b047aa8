"""Where the models look: Grad-CAM of the most probable test images."""

import shutil

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from assets import lineage
from assets.common import INTAKE, OWNERS, Holds, code_version, logged, tags, told, verdict
from assets.runs import run_behind
from assets.training import same_study
from hnp_pipeline import schemas
from hnp_pipeline.automation.planner import TOLERATES
from hnp_pipeline.project import Project
from hnp_pipeline.study import Study
from hnp_pipeline.tables import content_hash, read_table
from hnp_pipeline.vocabulary import ALL, FOLDS, LEVELS, outputs
from resources.compute import Compute, reserved
from resources.images import Images
from resources.tables import Tables, markdown
from resources.tracking import Tracking


def build(study: Study, task: str) -> list[dg.AssetsDefinition]:
    """The asset `<task>/gradcam`."""

    @dg.asset(
        key_prefix=task,
        deps=[[task, "fold_model"], [task, "test_evaluation"], "test_set"],
        group_name=task,
        op_tags=reserved(study.compute, "gradcam"),
        owners=OWNERS,
        kinds={"pytorch", "opencv"},
        tags=tags(Holds.PICTURES, task),
        description="Heat maps of the test images with the highest probabilities: what in the picture the models went by.",
        code_version=code_version(["explanation", "training/inference"], study.explanation, study.evaluation),
        check_specs=[
            dg.AssetCheckSpec(
                "test_data_there", asset=[task, "gradcam"], description="A test collection has arrived."
            ),
            dg.AssetCheckSpec(
                "maps_depend_on_weights",
                asset=[task, "gradcam"],
                description="Fresh random weights give other maps (Adebayo et al. 2018): else they show the picture, "
                "not the model.",
            ),
        ],
    )
    def gradcam(
        context: dg.AssetExecutionContext,
        project: dg.ResourceParam[Project],
        tables: dg.ResourceParam[Tables],
        images: dg.ResourceParam[Images],
        compute: dg.ResourceParam[Compute],
        tracking: dg.ResourceParam[Tracking],
    ) -> dg.MaterializeResult:
        from hnp_pipeline.explanation.explain import explain, most_probable
        from hnp_pipeline.explanation.sanity import randomisation_test
        from hnp_pipeline.training.inference import load_model

        folder, directory = project.home.task(task), project.home.gradcam(task)
        examples = read_table(project.home.part("test_set"))
        waiting = examples.num_rows == 0
        if waiting:
            shutil.rmtree(directory, ignore_errors=True)
            rows, sanity = schemas.empty(schemas.GRADCAM), None
        else:
            with told():
                same_study(project, task)
                predictions = read_table(folder / "test_image_predictions.parquet")
                thresholds = read_table(folder / "thresholds.parquet")
                pairs = most_probable(
                    predictions, thresholds, task, study.evaluation, study.explanation.pairs
                )
                where = pc.index_in(pairs["image_id"], examples["image_id"].combine_chunks())
                pairs = pairs.append_column("position", where)
                for known in ("age", "view"):
                    pairs = pairs.append_column(known, examples[known].take(where))
                models = [load_model(project.home.fold(task, k), compute.device()) for k in FOLDS]
                rows = explain(
                    models,
                    images.store(examples),
                    pairs,
                    directory,
                    project.home.root,
                    task,
                    study.explanation,
                    logged(context),
                )
                first = pairs.slice(0, study.explanation.sanity_pairs)
                sanity = first.num_rows and randomisation_test(
                    models[0],
                    images.store(examples),
                    first["position"].to_numpy(),
                    pc.index_in(first["level"], pa.array(outputs(task))).to_numpy(),
                )
        counts = rows.group_by("level").aggregate([([], "count_all")]).rename_columns(["level", "pairs"])
        sheet = directory / "contact_sheet.jpg"
        shown = study.report.pictures and sheet.exists()
        if run := run_behind(context, tracking, [task, "test_evaluation"]):
            run.table(_by_patient(rows, examples), "gradcam")
            if shown:
                run.artifact(sheet)
        else:
            context.log.warning(
                "the MLflow run of the test evaluation is gone: it gets no table of heat maps"
            )
        return dg.MaterializeResult(
            data_version=dg.DataVersion(content_hash(rows)),
            metadata=tables.write(rows, folder / "gradcam.parquet")
            | lineage.of("gradcam")
            | {"waiting": waiting, "by_level": dg.MetadataValue.md(markdown(counts))}
            # its place only: the event log outlives the picture of a patient who withdraws
            | ({"contact_sheet": dg.MetadataValue.path(sheet)} if shown else {}),
            check_results=[
                verdict(
                    "test_data_there",
                    not waiting,
                    "waiting for a test collection" if waiting else f"{rows.num_rows} heat maps",
                    warn=True,
                ),
                verdict(
                    "maps_depend_on_weights",
                    bool(sanity and sanity.changed),
                    str(sanity) if sanity else "there is no map to compare",
                    warn=True,
                ),
            ],
        )

    return [gradcam]


def build_localisation(study: Study) -> list[dg.AssetsDefinition]:
    """The asset `localisation`, over all tasks that are asked about levels."""
    tasks = [task for task in study.tasks if outputs(task) == LEVELS]

    @dg.asset(
        deps=["cohort", *INTAKE[:1], *(dg.AssetKey([t, "gradcam"]) for t in tasks)],
        group_name="report",
        op_tags=reserved(study.compute),
        owners=OWNERS,
        kinds={"opencv", "parquet"},
        tags=tags(Holds.FIGURES),
        metadata={TOLERATES: INTAKE[:1]},
        description="How much of the heat falls on the disc that was asked about, against chance. Only for a phantom, whose "
        "truth lies beside its raw folder: of patients nobody knows where the discs are, and the table has no rows.",
        code_version=code_version(
            ["explanation/localisation", "evaluation/bootstrap", "evaluation/doubts"],
            study.imaging,
            study.evaluation,
        ),
    )
    def localisation(
        project: dg.ResourceParam[Project], tables: dg.ResourceParam[Tables]
    ) -> dg.MaterializeResult:
        from hnp_pipeline.explanation.localisation import localise

        home, found = project.home, [schemas.empty(schemas.LOCALISATION)]
        truth = project.raw.parent / "truth" / "images.parquet" if project.raw else None
        if truth is not None and truth.exists():
            discs = read_table(truth)
            discs = discs.select([c for c in discs.column_names if c == "image_id" or c.startswith(_DISCS)])
            rows = read_table(home.table("cohort"), ["image_id", "collection", "patient_key"])
            parts = [home.intake(c, "radiographs") for c in rows["collection"].unique().to_pylist()]
            sizes = pa.concat_tables([read_table(p, ["image_id", "width", "height"]) for p in parts])
            images = rows.drop_columns("collection").join(sizes, "image_id")
            with told():
                for task in tasks:
                    maps = read_table(home.task(task) / "gradcam.parquet").filter(pc.field("label") == 1)
                    maps = maps.join(images, "image_id")
                    found.append(localise(maps, discs, home.root, study.imaging, study.evaluation))
        table = pa.concat_tables([t.replace_schema_metadata(None) for t in found])
        return dg.MaterializeResult(
            data_version=dg.DataVersion(content_hash(table)),
            metadata=tables.write(table, home.part("localisation"))
            | {"discs_known": table.num_rows > 0, "over_all_levels": dg.MetadataValue.md(_told(table))},
        )

    return [localisation]


_DISCS = tuple(f"{level}_{end}" for level in LEVELS for end in ("x", "y", "width", "height"))


def _told(table: pa.Table) -> str:
    return markdown(table.filter(pc.field("level") == ALL))


def _by_patient(rows: pa.Table, examples: pa.Table) -> pa.Table:
    """The rows with the patient's pseudonym, by which they are found again in MLflow when the patient withdraws."""
    at = pc.index_in(rows["image_id"], examples["image_id"].combine_chunks())
    return rows.append_column("patient_key", examples["patient_key"].take(at))
