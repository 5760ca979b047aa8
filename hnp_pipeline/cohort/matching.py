"""From typed rows to the cohort: every x-ray row is in it or excluded for exactly one reason (design 4).

The rules are `rules.sql`, what comes out of them `results.sql`; this module hands DuckDB its inputs and takes the
tables.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from hnp_pipeline import schemas, study, tables
from hnp_pipeline.cohort.folds import assign_folds
from hnp_pipeline.errors import StepError
from hnp_pipeline.vocabulary import FOLDS, HNP, LEVELS, Reason, Split


@dataclass(frozen=True)
class Sources:
    """What the cohort is made of: Parquet files, one or more a table, of any number of collections."""

    radiographs: list[Path]  # schemas.INTAKE_RADIOGRAPHS
    readings: list[Path]  # schemas.INTAKE_READINGS
    surgeries: list[Path]  # schemas.INTAKE_SURGERIES; none: the criterion is not applied
    withdrawn: pa.Table  # patient_key of those who withdrew
    roles: dict[str, str]  # collection → development or test


@dataclass(frozen=True)
class CohortTables:
    """The cohort in memory."""

    cohort: pa.Table  # schemas.COHORT, by collection and row
    exclusions: pa.Table  # schemas.EXCLUSIONS, by collection and row
    flow: pa.Table  # schemas.COHORT_FLOW, by split and step


def build_cohort(
    sources: Sources, settings: study.Cohort, threads: int | None = None, memory_limit: str = "3GB"
) -> CohortTables:
    """Ask every rule of every x-ray row, match the readings, assign the folds.

    Args:
        sources: the typed rows of all collections.
        settings: study period, interval, seed of the folds.
        threads: at most so many; default every core.
        memory_limit: DuckDB's; beyond it, it works on disk.

    Raises:
        StepError: a collection without a role, or a role that is none.
    """
    with TemporaryDirectory(prefix="hnp-cohort-") as spill:
        with _judged(sources, settings, threads, memory_limit, spill) as db:
            cohort, exclusions, flow = (_fetch(db, *result) for result in _RESULTS)
        return CohortTables(cohort, exclusions, flow)


def write_cohort(
    sources: Sources,
    settings: study.Cohort,
    cohort: Path,
    exclusions: Path,
    flow: Path,
    threads: int | None = None,
    memory_limit: str = "3GB",
) -> pa.Table:
    """As `build_cohort`, but straight into Parquet files at the three paths, so that no table need fit in memory.

    Each file is replaced as a whole, and none before all three are written.

    Returns:
        The flow, which holds every count.

    Raises:
        StepError: a collection without a role, or a role that is none.
    """
    with tables.scratch(cohort.parent) as spill, ExitStack() as stack:
        db = stack.enter_context(_judged(sources, settings, threads, memory_limit, str(spill)))
        for path, result in zip((cohort, exclusions, flow), _RESULTS, strict=True):
            temporary = stack.enter_context(tables.replacing(path))
            target = str(temporary).replace("'", "''")
            # zstd's first level: hashes hardly shrink, so the files are as small in half the time
            db.execute(
                f"COPY ({_query(*result)}) TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
            )
        return _fetch(db, *_RESULTS[-1])


_RESULTS = (  # view of results.sql, columns, order
    ("cohort_rows", schemas.COHORT, "place"),
    ("exclusion_rows", schemas.EXCLUSIONS, "place"),
    ("flow_rows", schemas.COHORT_FLOW, "split, step"),
)


def _query(view: str, columns: list[schemas.Column], order: str) -> str:
    # DuckDB marks columns that happen to hold no null as required; it cannot know what `try` gives
    return f"SELECT {', '.join(f'try({c.name}) AS {c.name}' for c in columns)} FROM {view} ORDER BY {order}"


def _fetch(db: duckdb.DuckDBPyConnection, view: str, columns: list[schemas.Column], order: str) -> pa.Table:
    return db.sql(_query(view, columns, order)).to_arrow_table().cast(schemas.schema(columns))


@contextmanager
def _judged(
    sources: Sources, settings: study.Cohort, threads: int | None, memory_limit: str, spill: str
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database of its own in which the rules have been asked, with the views of `results.sql`."""
    config: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "preserve_insertion_order": False,
        "memory_limit": memory_limit,
        "temp_directory": spill,
    }
    if threads:
        config["threads"] = threads
    with duckdb.connect(config=config) as db:
        _view(db, "radiographs", sources.radiographs, schemas.INTAKE_RADIOGRAPHS)
        _view(db, "readings", sources.readings, schemas.INTAKE_READINGS)
        _view(db, "surgeries", sources.surgeries, schemas.INTAKE_SURGERIES)
        db.register("withdrawn", sources.withdrawn)
        _create_types(db, sources.roles)
        for name, value in (
            ("study_start", settings.study_start),
            ("study_end", settings.study_end),
            ("interval_days", settings.interval_days),
            ("surgeries_given", bool(sources.surgeries)),
        ):
            db.execute(f"SET VARIABLE {name} = ?", [value])
        db.execute(_script("rules.sql"))
        _assign_folds(db, settings.seed)
        db.execute(_script("results.sql"))
        yield db


def _script(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _view(db: duckdb.DuckDBPyConnection, name: str, paths: list[Path], columns: list[schemas.Column]) -> None:
    for path in paths:
        tables.require_table(path)
    if paths:
        rows = db.read_parquet([str(p) for p in paths], hive_partitioning=False)
    else:
        rows = db.from_arrow(schemas.empty(columns))
    rows.create_view(name)


def _create_types(db: duckdb.DuckDBPyConnection, roles: dict[str, str]) -> None:
    """Enums for what has few values: a byte a row, ordered as the names are given. And the table `roles`."""
    delivered = "SELECT collection FROM radiographs UNION SELECT collection FROM readings"
    found = {name for (name,) in db.sql(delivered).fetchall()}
    if unknown := sorted(found - roles.keys()):
        raise StepError(f"collection {unknown[0]} has no role: development or test")
    if wrong := sorted(set(roles.values()) - set(Split)):
        raise StepError(f"{wrong[0]!r} is no role of a collection: development or test")
    for name, values in (("collection_name", sorted(roles)), ("split_name", Split), ("reason_name", Reason)):
        listed = ", ".join("'" + str(v).replace("'", "''") + "'" for v in values)
        db.execute(f"CREATE TYPE {name} AS ENUM ({listed})")
    db.execute("CREATE TEMP TABLE roles (collection collection_name, split split_name)")
    db.executemany("INSERT INTO roles VALUES (?, ?)", sorted(roles.items()))


def _assign_folds(db: duckdb.DuckDBPyConnection, seed: int) -> None:
    """The table `folds`: patient, fold; from the seed and the patients' own digests, whatever the order of rows."""
    positives = ", ".join(f"sum({name})::BIGINT AS {name}" for name in (*LEVELS, HNP))
    patients = db.execute(
        f"""
        WITH counted AS (
            SELECT patient, count(*) AS images, {positives}
            FROM verdicts
            JOIN (SELECT *, greatest({", ".join(LEVELS)}) AS {HNP} FROM reading_days) USING (patient, mri_date)
            WHERE reason IS NULL AND split = ?
            GROUP BY patient
        )
        SELECT counted.*
        FROM counted JOIN patients USING (patient)
        ORDER BY sha256(? || ' ' || patient_digest), patient_key
        """,
        [Split.DEVELOPMENT, str(seed)],
    ).fetchnumpy()
    images, *counts = (np.asarray(patients[name]) for name in ("images", *LEVELS, HNP))
    fold = assign_folds(images, np.column_stack(counts), len(FOLDS))
    db.register("folds", pa.table({"patient": patients["patient"], "fold": fold}))
