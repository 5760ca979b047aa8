"""The images that models learn from and are tested on: the cohort's rows by content, so that names change nothing."""

import pyarrow as pa
import pyarrow.compute as pc

from hnp_pipeline import schemas
from hnp_pipeline.tables import content_hash
from hnp_pipeline.vocabulary import HNP, LEVELS, Split

_NAMES = ("sha256", "image_id", "patient_key", "fold", "age", "sex", "view", "hospital", *LEVELS, HNP)
_COLUMNS = {c.name: c for c in schemas.COHORT}
EXAMPLES = [_COLUMNS[name] for name in _NAMES]  # columns of the development set and of the test set


def development_examples(cohort: pa.Table) -> pa.Table:
    """The images that train and validate: EXAMPLES columns, sorted by sha256, which is unique."""
    return _examples(cohort, Split.DEVELOPMENT)


def test_examples(cohort: pa.Table) -> pa.Table:
    """The images that test: EXAMPLES columns with fold null, sorted by sha256, which is unique."""
    return _examples(cohort, Split.TEST)


def examples_hash(examples: pa.Table) -> str:
    """A hash of what examples are, not of what they are called: rows and pseudonyms may be renamed.

    Which images are of one patient counts.
    """
    return content_hash(by_content(examples))


def by_content(examples: pa.Table) -> pa.Table:
    """Examples as models see them, sorted by sha256: names are no inputs.

    A patient goes by the lowest sha256 of the patient's images, in the column `patient`.
    """
    lowest = examples.group_by("patient_key").aggregate([("sha256", "min")])
    lowest = lowest.rename_columns(["patient_key", "patient"])
    content = examples.join(lowest, "patient_key").drop_columns(["image_id", "patient_key"])
    return content.sort_by("sha256").combine_chunks()


def changing_patients(cohort: pa.Table) -> pa.Table:
    """Patients whose images differ in labels, since visits were read differently.

    Returns:
        split, level (the five and `hnp`), patients, changing: of these, patients with both labels. A split without
        images has no rows.
    """
    labels = (*LEVELS, HNP)
    patients = cohort.group_by(["split", "patient_key"]).aggregate(
        [(name, how) for name in labels for how in ("min", "max")]
    )
    rows = []
    for split in Split:
        mine = patients.filter(pc.equal(patients["split"], split.value))
        for name in labels if mine.num_rows else ():
            differ = pc.not_equal(mine[f"{name}_min"], mine[f"{name}_max"])
            rows.append((split.value, name, mine.num_rows, pc.sum(differ).as_py()))
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    types = (pa.string(), pa.string(), pa.int64(), pa.int64())
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    return pa.table(arrays, names=["split", "level", "patients", "changing"])


def _examples(cohort: pa.Table, split: Split) -> pa.Table:
    mine = cohort.select(["split", *_NAMES]).filter(pc.equal(cohort["split"], split.value))
    return mine.drop_columns("split").sort_by("sha256").cast(schemas.schema(EXAMPLES)).combine_chunks()
