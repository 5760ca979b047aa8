"""Raw exports → typed rows under pseudonyms, a collection at a time."""

from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.parquet import read_metadata

from assets.common import OWNERS, Holds, code_version, logged, query, tags, told, verdict
from hnp_pipeline.automation.survey import (
    COLLECTIONS,
    COLLECTIONS_THERE,
    RAW_COLLECTION,
    WITHDRAWALS,
    known_collections,
    look,
    roles,
    still_there,
)
from hnp_pipeline.errors import SettingsError
from hnp_pipeline.intake.delivery import open_delivery
from hnp_pipeline.intake.mri_readings import read_mri_readings
from hnp_pipeline.intake.surgeries import has_surgeries, read_surgeries
from hnp_pipeline.intake.withdrawn import forgotten, read_withdrawn
from hnp_pipeline.project import Project
from hnp_pipeline.readings.rows import compare, label_rows
from hnp_pipeline.schemas import INTAKE_RADIOGRAPHS, WITHDRAWN, empty
from hnp_pipeline.study import Study
from hnp_pipeline.tables import content_hash, content_hash_of, read_table, write_table
from hnp_pipeline.vocabulary import LEVELS
from resources.compute import Compute, reserved
from resources.erasure import forget
from resources.tables import Tables, describe, markdown

RAW = [
    dg.AssetSpec(
        RAW_COLLECTION,
        partitions_def=COLLECTIONS,
        group_name="raw",
        description="A delivery of the hospital: one folder with its tables and pictures. "
        "Its version is told by the sensor and by `hnp run`.",
        kinds={"csv", "jpeg"},
        tags=tags(Holds.IDENTITIES),
        owners=OWNERS,
    ),
    dg.AssetSpec(
        WITHDRAWALS,
        group_name="raw",
        description="Patients who withdrew from the study (withdrawn.csv); none when there is no such table.",
        kinds={"csv"},
        tags=tags(Holds.IDENTITIES),
        owners=OWNERS,
    ),
]


@dg.asset_check(
    asset=RAW_COLLECTION,
    name=COLLECTIONS_THERE.name,
    description="No collection that the study uses has gone from the raw folder. Told by the sensor and by `hnp run`, too.",
)
def collections_there(
    context: dg.AssetCheckExecutionContext, project: dg.ResourceParam[Project]
) -> dg.AssetCheckResult:
    """Look at the raw folder now."""
    with told():
        if project.raw is None:
            raise SettingsError("no raw folder: run `hnp run --raw DIR` once")
        seen = still_there(look(project.raw, known_collections(context.instance), {}))
    return dg.AssetCheckResult(
        passed=seen.passed, severity=seen.severity, description=seen.description, metadata=seen.metadata
    )


def build(study: Study) -> list[dg.AssetsDefinition]:
    """The assets `withdrawn`, `radiographs`, `readings` and `surgeries`."""
    # Where ids are a hospital's own, an id without a hospital withdraws in all that the collections name.
    named_by = [RAW_COLLECTION] if study.intake.patient_scope == "hospital" else []

    @dg.asset(
        deps=[WITHDRAWALS, *named_by],
        group_name="intake",
        op_tags=reserved(study.compute),
        owners=OWNERS,
        kinds={"parquet", "python"},
        tags=tags(Holds.PSEUDONYMS),
        description="Who withdrew, by pseudonym. Nothing of these patients is taken in, and what was is forgotten.",
        code_version=code_version(["intake/withdrawn"], study.intake),
    )
    def withdrawn(project: dg.ResourceParam[Project]) -> dg.MaterializeResult:
        home = project.home
        with told():
            rows = _withdrawn(project, study)
            left = forget(home, rows, study.tasks)
        write_table(rows, home.part("withdrawn"))
        return dg.MaterializeResult(
            data_version=dg.DataVersion(content_hash(rows)),
            metadata={"dagster/row_count": rows.num_rows, "files_changed": left},
        )

    shared: dict[str, Any] = {
        "partitions_def": COLLECTIONS,
        "deps": [RAW_COLLECTION, "withdrawn"],
        "group_name": "intake",
        "op_tags": reserved(study.compute),
        "owners": OWNERS,
        "kinds": {"parquet", "python"},
        "tags": tags(Holds.PSEUDONYMS),
    }

    @dg.asset(
        **shared,
        description="Every row of the x-ray export, typed and under a pseudonym, with its picture opened and hashed.",
        code_version=code_version(["intake", "imaging/inspection"], study.intake),
        check_specs=[
            dg.AssetCheckSpec(
                "images_decodable", asset="radiographs", description="Most pictures can be read."
            ),
            dg.AssetCheckSpec(
                "rows_typed",
                asset="radiographs",
                blocking=True,
                description="One typed row for each row delivered.",
            ),
        ],
    )
    def radiographs(
        context: dg.AssetExecutionContext,
        project: dg.ResourceParam[Project],
        tables: dg.ResourceParam[Tables],
        compute: dg.ResourceParam[Compute],
    ) -> dg.MaterializeResult:
        from hnp_pipeline.imaging.radiographs import RadiographFiles, write_radiographs

        name = context.partition_key
        names = ("radiographs", "names", "files")
        files = RadiographFiles(*(project.home.intake(name, n) for n in names))
        with told():
            collection = open_delivery(project.collection(name), study.intake, "xrays")
            found = write_radiographs(
                collection,
                study.intake,
                project.key(),
                files,
                compute.threads,
                logged(context),
                tables.withdrawn(),
            )
        written = read_metadata(files.rows).num_rows
        return dg.MaterializeResult(
            data_version=dg.DataVersion(content_hash_of(files.rows)),
            metadata=tables.describe_file(files.rows, INTAKE_RADIOGRAPHS)
            | {"unreadable_images": found.unreadable, "rows_with_missing_data": found.untyped},
            check_results=[
                verdict(
                    "images_decodable",
                    found.unreadable <= 0.2 * found.rows,
                    f"{found.unreadable} of {found.rows} pictures unreadable",
                    warn=True,
                    rows=query(
                        files.rows, "SELECT image_id, unreadable FROM {} WHERE unreadable IS NOT NULL"
                    ),
                ),
                verdict("rows_typed", written == found.rows, f"{written} of {found.rows} rows"),
            ],
        )

    @dg.asset(
        **shared,
        description="Every MRI reading with its label at the five levels, from the table's columns or the report's text.",
        code_version=code_version(["intake", "readings"], study.intake, study.readings),
        check_specs=[
            dg.AssetCheckSpec(
                "labels_in_range", asset="readings", blocking=True, description="Labels are 0, 1 or blank."
            ),
            dg.AssetCheckSpec("rows_accepted", asset="readings", description="Few readings are rejected."),
        ],
    )
    def readings(
        context: dg.AssetExecutionContext,
        project: dg.ResourceParam[Project],
        tables: dg.ResourceParam[Tables],
    ) -> dg.MaterializeResult:
        name = context.partition_key
        with told():
            collection = open_delivery(project.collection(name), study.intake, "mri_readings")
            typed, rejected = read_mri_readings(collection, study.intake, project.key())
            typed = forgotten(typed, tables.withdrawn())
            rows = label_rows(typed, study.readings)
            agreement, disagreements = compare(typed, study.readings)
        not_taken = project.home.intake(name, "readings_rejected")
        write_table(rejected, not_taken)
        write_table(disagreements, project.home.intake(name, "readings_disagreements"))
        metadata = tables.write(rows, project.home.intake(name, "readings"))
        sources = pa.table({"source": rows["label_source"]}).group_by("source").aggregate([([], "count_all")])
        labels = pa.chunked_array([c for k in LEVELS for c in rows[k].chunks], pa.int8())
        in_range = (
            pc.all(pc.is_in(labels.drop_null(), value_set=pa.array([0, 1], pa.int8()))).as_py() is not False
        )
        return dg.MaterializeResult(
            data_version=dg.DataVersion(
                content_hash(pa.table({"of": [content_hash(t) for t in (rows, rejected, disagreements)]}))
            ),
            metadata=metadata
            | {
                "rejected_rows": rejected.num_rows,
                "label_sources": dg.MetadataValue.md(markdown(sources)),
                "agreement_of_columns_and_text": dg.MetadataValue.md(markdown(agreement)),
                "levels_disagreeing": disagreements.num_rows,
            },
            check_results=[
                verdict("labels_in_range", in_range, "labels are 0, 1 or blank"),
                verdict(
                    "rows_accepted",
                    rejected.num_rows <= 0.05 * max(rows.num_rows, 1),
                    f"{rejected.num_rows} rejected, {rows.num_rows} accepted",
                    warn=True,
                    rows=query(not_taken, "SELECT * FROM {}"),
                ),
            ],
        )

    @dg.asset(
        **shared,
        description="Surgeries that were delivered; those on a lumbar disc can stand between x-ray and MRI.",
        code_version=code_version(["intake"], study.intake),
    )
    def surgeries(
        context: dg.AssetExecutionContext,
        project: dg.ResourceParam[Project],
        tables: dg.ResourceParam[Tables],
    ) -> dg.MaterializeResult:
        name = context.partition_key
        with told():
            collection = open_delivery(project.collection(name), study.intake, "surgeries")
            absent = not has_surgeries(collection)
            rows, rejected = read_surgeries(collection, study.intake, project.key())
            rows = forgotten(rows, tables.withdrawn())
        write_table(rejected, project.home.intake(name, "surgeries_rejected"))
        path = project.home.intake(name, "surgeries")
        if absent:
            path.unlink(missing_ok=True)  # no table: the criterion is not applied
        else:
            write_table(rows, path)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(content_hash(rows) + ("-absent" if absent else "")),
            metadata=describe(rows) | {"table_delivered": not absent, "rejected_rows": rejected.num_rows},
        )

    return [withdrawn, radiographs, readings, surgeries]


def _withdrawn(project: Project, study: Study) -> pa.Table:
    if project.raw is None:
        return empty(WITHDRAWN)
    parts = [p for c in roles(project.home) if (p := project.home.intake(c, "radiographs")).exists()]
    hospitals = {h for p in parts for h in read_table(p, ["hospital"])["hospital"].unique().to_pylist()}
    return read_withdrawn(project.raw, study.intake, project.key(), hospitals)
