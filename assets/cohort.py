"""Who is in the study: matching, exclusions, flow, and the two sets that models see."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets import lineage
from assets.common import INTAKE, OWNERS, Holds, code_version, query, tags, told, verdict
from hnp_pipeline.automation.planner import TOLERATES
from hnp_pipeline.automation.survey import roles
from hnp_pipeline.cohort.examples import development_examples, examples_hash, test_examples
from hnp_pipeline.cohort.matching import Sources, write_cohort
from hnp_pipeline.home import Home
from hnp_pipeline.intake.leading_zeros import leading_zero_warning
from hnp_pipeline.project import Project
from hnp_pipeline.schemas import COHORT, COHORT_FLOW, EXCLUSIONS
from hnp_pipeline.study import Study
from hnp_pipeline.tables import content_hash, content_hash_of, read_table
from hnp_pipeline.vocabulary import LEVEL_TITLES, LEVELS
from resources.compute import Compute, reserved
from resources.images import Images
from resources.tables import Tables, markdown


def build(study: Study) -> list[dg.AssetsDefinition]:
    """The multi-asset `cohort`, `exclusions`, `cohort_flow`; `development_set` and `test_set`."""
    version = code_version(["cohort"], study.cohort)
    deps = [*INTAKE, "withdrawn"]
    tolerates = {TOLERATES: INTAKE}

    def spec(name: str, description: str) -> dg.AssetSpec:
        return dg.AssetSpec(
            name,
            deps=deps,
            description=description,
            group_name="cohort",
            owners=OWNERS,
            kinds={"duckdb", "parquet"},
            tags=tags(Holds.PSEUDONYMS),
            code_version=version,
            metadata=tolerates,
        )

    @dg.multi_asset(
        name="cohort",
        op_tags=reserved(study.compute),
        specs=[
            spec(
                "cohort",
                "The images of the study: each with its matched MRI reading, its split and its fold.",
            ),
            spec(
                "exclusions", "Every image that is not in the cohort, with the one reason and what was found."
            ),
            spec("cohort_flow", "How many images and patients remain after each rule, for both splits."),
        ],
        check_specs=[
            dg.AssetCheckSpec(
                "rows_accounted_for", asset="cohort", blocking=True, description="In or out, each row once."
            ),
            dg.AssetCheckSpec(
                "patients_in_one_fold", asset="cohort", blocking=True, description="No patient in two folds."
            ),
            dg.AssetCheckSpec(
                "patients_in_one_split",
                asset="cohort",
                blocking=True,
                description="No patient in both splits.",
            ),
            dg.AssetCheckSpec(
                "images_of_one_patient",
                asset="cohort",
                blocking=True,
                description="No image in two patients.",
            ),
            dg.AssetCheckSpec(
                "ids_match", asset="cohort", description="No id lost its leading zeros in one of the tables."
            ),
        ],
    )
    def cohort(
        project: dg.ResourceParam[Project],
        tables: dg.ResourceParam[Tables],
        compute: dg.ResourceParam[Compute],
    ) -> Iterator[dg.MaterializeResult]:
        home = project.home
        known = sorted(roles(home))
        parts = {n: [p for c in known if (p := home.intake(c, n)).exists()] for n in INTAKE}
        paths = {n: home.table(n) for n in ("cohort", "exclusions", "cohort_flow")}
        with told():
            withdrawn = tables.withdrawn()
            write_cohort(
                Sources(
                    radiographs=parts["radiographs"],
                    readings=parts["readings"],
                    surgeries=parts["surgeries"],
                    withdrawn=withdrawn,
                    roles={c: role.value for c, role in roles(home).items()},
                ),
                study.cohort,
                paths["cohort"],
                paths["exclusions"],
                paths["cohort_flow"],
                threads=compute.threads,
            )
        delivered = sum(pq.read_metadata(p).num_rows for p in parts["radiographs"])
        zeros = leading_zero_warning(_identified(home, known, withdrawn))
        counted = {n: pq.read_metadata(p).num_rows for n, p in paths.items()}
        checks = [
            *_checks(home.table("cohort"), delivered, counted),
            verdict(
                "ids_match", zeros is None, zeros or "no id lacks leading zeros", asset="cohort", warn=True
            ),
        ]
        extra = {
            "cohort": _prevalence(home.table("cohort")),
            "exclusions": _reasons(home.table("exclusions")),
            "cohort_flow": _flow(home.table("cohort_flow")),
        }
        for name, path in paths.items():
            yield dg.MaterializeResult(
                asset_key=name,
                data_version=dg.DataVersion(content_hash_of(path)),
                metadata=tables.describe_file(path, _COLUMNS[name]) | extra[name] | lineage.of(name),
                check_results=checks if name == "cohort" else [],
            )

    set_shared: dict[str, Any] = {
        "deps": ["cohort", "clahe_cache"],
        "group_name": "cohort",
        "op_tags": reserved(study.compute),
        "owners": OWNERS,
        "kinds": {"parquet"},
        "tags": tags(Holds.PSEUDONYMS),
        "metadata": {TOLERATES: ["clahe_cache"]},
    }

    @dg.asset(
        **set_shared,
        description="What models learn from: images by content, with labels and folds. Its version is that content, "
        "so renamed rows or another pseudonym key train nothing again.",
        code_version=code_version(["cohort/examples"], study.imaging),
        check_specs=[
            dg.AssetCheckSpec(
                "folds_hold_both_classes",
                asset="development_set",
                description="Each fold can be validated at each level.",
            )
        ],
    )
    def development_set(
        project: dg.ResourceParam[Project], tables: dg.ResourceParam[Tables], images: dg.ResourceParam[Images]
    ) -> dg.MaterializeResult:
        with told():
            examples = development_examples(read_table(project.home.table("cohort")))
            pixels = images.store(examples).content
        metadata = tables.write(examples, project.home.part("development_set")) | lineage.of(
            "development_set"
        )
        thin = _folds_of_one_class(examples)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(f"{examples_hash(examples)}-{study.imaging.hash}-{pixels}"),
            metadata=metadata | {"patients": pc.count_distinct(examples["patient_key"]).as_py()},
            check_results=[
                verdict(
                    "folds_hold_both_classes",
                    not thin,
                    "every fold has both classes at every level"
                    if not thin
                    else "one class only at " + ", ".join(thin),
                    warn=True,
                )
            ],
        )

    @dg.asset(
        **set_shared,
        description="What the ensemble is judged on: images of later collections, of patients no model has seen.",
        code_version=code_version(["cohort/examples"], study.imaging),
        check_specs=[
            dg.AssetCheckSpec(
                "test_data_there", asset="test_set", description="A test collection has arrived."
            )
        ],
    )
    def test_set(
        project: dg.ResourceParam[Project], tables: dg.ResourceParam[Tables], images: dg.ResourceParam[Images]
    ) -> dg.MaterializeResult:
        with told():
            examples = test_examples(read_table(project.home.table("cohort")))
            pixels = images.store(examples).content
        metadata = tables.write(examples, project.home.part("test_set")) | lineage.of("test_set")
        waiting = examples.num_rows == 0
        return dg.MaterializeResult(
            data_version=dg.DataVersion(f"{content_hash(examples)}-{study.imaging.hash}-{pixels}"),
            metadata=metadata
            | {"patients": pc.count_distinct(examples["patient_key"]).as_py(), "waiting": waiting},
            check_results=[
                verdict(
                    "test_data_there",
                    not waiting,
                    "waiting for a test collection" if waiting else f"{examples.num_rows} images",
                    warn=True,
                )
            ],
        )

    return [cohort, development_set, test_set]


_COLUMNS = {"cohort": COHORT, "exclusions": EXCLUSIONS, "cohort_flow": COHORT_FLOW}

# What must not be in the cohort: the query that lists it, and what it is called.
_LEAKS = {
    "patients_in_one_fold": (
        "SELECT patient_key, list(image_id) AS images FROM {} GROUP BY patient_key HAVING count(DISTINCT fold) > 1",
        "patients in two folds",
    ),
    "patients_in_one_split": (
        "SELECT patient_key, list(image_id) AS images FROM {} GROUP BY patient_key HAVING count(DISTINCT split) > 1",
        "patients in both splits",
    ),
    "images_of_one_patient": (
        "SELECT sha256, list(image_id) AS images FROM {} GROUP BY sha256 HAVING count(DISTINCT patient_key) > 1",
        "images under two patients",
    ),
}


def _identified(home: Home, collections: list[str], withdrawn: pa.Table) -> dict[str, Path | pa.Table]:
    """Every table that names patients, by what the user calls it."""
    tables = {"xrays": "radiographs", "mri_readings": "readings", "surgeries": "surgeries"}
    parts = {f"{c}/{name}": home.intake(c, part) for c in collections for name, part in tables.items()}
    return {"withdrawn": withdrawn} | {name: part for name, part in parts.items() if part.exists()}


def _checks(path: Path, delivered: int, counted: dict[str, int]) -> list[dg.AssetCheckResult]:
    sums = counted["cohort"] + counted["exclusions"] == delivered
    found = f"{counted['cohort']} in, {counted['exclusions']} out, {delivered} delivered"
    results = [verdict("rows_accounted_for", sums, found, asset="cohort")]
    with duckdb.connect() as connection:
        for name, (listing, words) in _LEAKS.items():
            rows = query(path, listing)
            [(n,)] = connection.execute(f"SELECT count(*) FROM ({rows})").fetchall()
            results.append(verdict(name, n == 0, f"{n} {words}", asset="cohort", rows=rows))
    return results


def _prevalence(path: Path) -> dict[str, dg.MetadataValue]:
    rows = read_table(path, [c.name for c in COHORT if c.name in {*LEVELS, "hnp", "split", "fold"}])
    grouped = rows.group_by(["split", "fold"]).aggregate(
        [([], "count_all"), *[(k, "mean") for k in (*LEVELS, "hnp")]]
    )
    named = grouped.rename_columns(["split", "fold", "images", *[LEVEL_TITLES[k] for k in (*LEVELS, "hnp")]])
    return {
        "prevalence_by_fold": dg.MetadataValue.md(
            markdown(named.sort_by([("split", "ascending"), ("fold", "ascending")]))
        )
    }


def _reasons(path: Path) -> dict[str, dg.MetadataValue]:
    counts = read_table(path, ["reason"]).group_by("reason").aggregate([([], "count_all")])
    return {
        "by_reason": dg.MetadataValue.md(
            markdown(counts.rename_columns(["reason", "images"]).sort_by([("images", "descending")]))
        )
    }


def _flow(path: Path) -> dict[str, dg.MetadataValue]:
    from hnp_pipeline.report.flow import flow_diagram

    svg = base64.b64encode(flow_diagram(read_table(path)).encode()).decode()
    return {"flow_diagram": dg.MetadataValue.md(f"![flow diagram](data:image/svg+xml;base64,{svg})")}


def _folds_of_one_class(examples: pa.Table) -> list[str]:
    means = examples.group_by("fold").aggregate([(k, "mean") for k in LEVELS]).sort_by("fold")
    return [
        f"{LEVEL_TITLES[k]} fold {fold}"
        for k in LEVELS
        for fold, mean in zip(means["fold"].to_pylist(), means[f"{k}_mean"].to_pylist(), strict=True)
        if mean in (0, 1)
    ]
