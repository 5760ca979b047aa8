"""What every asset of the study shares: owners, code versions, errors told in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import dagster as dg

from hnp_pipeline.errors import StudyError
from hnp_pipeline.fingerprint import source_hash
from hnp_pipeline.progress import Report, throttled
from hnp_pipeline.study import Section

OWNERS = ["team:study"]
FOLDS = dg.StaticPartitionsDefinition(["0", "1", "2", "3"])
TRAINING_POOL = "gpu"
INTAKE = ["radiographs", "readings", "surgeries"]


class Holds(StrEnum):
    """What of a patient an asset holds: the tag `hnp/holds`, for those who decide who may read it."""

    IDENTITIES = "identities"  # the hospital's own exports
    PSEUDONYMS = "pseudonyms"  # rows of patients, under a keyed name
    PICTURES = "pictures"  # of patients, on which text may be burned in
    MODELS = "models"  # learnt from patients
    FIGURES = "figures"  # of groups of patients


def tags(holds: Holds, task: str | None = None) -> dict[str, str]:
    """An asset's tags, to filter the graph by."""
    return {"hnp/holds": holds.value} | ({"hnp/task": task} if task else {})


def code_version(parts: list[str], *settings: Section) -> str:
    """Changes with the code in these parts of hnp_pipeline, and with these settings."""
    return "-".join([source_hash(*parts), *(s.hash[:8] for s in settings)])


@contextmanager
def told() -> Iterator[None]:
    """Turn an error that is written for the user into a failure of the step that says just that."""
    try:
        yield
    except StudyError as error:
        raise dg.Failure(str(error), allow_retries=False) from None


def logged(context: dg.AssetExecutionContext) -> Report:
    """Progress as lines of the Dagster log, one every few seconds."""

    def report(fraction: float, message: str) -> None:
        context.log.info(f"{100 * fraction:3.0f} % {message}")

    return throttled(report)


def query(path: Path, rest: str) -> str:
    """SQL that any DuckDB client can run on the table at `path`: `{}` in `rest` is where its name stands."""
    quoted = str(path).replace("'", "''")
    return rest.format(f"'{quoted}'")


def verdict(
    name: str,
    passed: bool,
    found: str,
    *,
    asset: str | list[str] | None = None,
    warn: bool = False,
    rows: str | None = None,
) -> dg.AssetCheckResult:
    """A check's result with what was found.

    `rows` is the query that lists the rows in question: the event log outlives patients who withdraw, so it says where
    their rows stand and holds none.
    """
    return dg.AssetCheckResult(
        passed=passed,
        check_name=name,
        asset_key=dg.AssetKey(asset) if asset else None,
        severity=dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR,
        description=found,
        metadata={"found": found} | ({"rows": dg.MetadataValue.md(f"```sql\n{rows}\n```")} if rows else {}),
    )
