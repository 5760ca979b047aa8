"""Who it works for: every figure of the ensemble by hospital, view, sex, age, images, collection."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hnp_pipeline import schemas, study
from hnp_pipeline.errors import StepError
from hnp_pipeline.evaluation.bootstrap import resample
from hnp_pipeline.evaluation.ensemble import decisions, ensemble
from hnp_pipeline.evaluation.metrics import estimate
from hnp_pipeline.evaluation.rows import metric_rows
from hnp_pipeline.evaluation.scores import Scores, tasks_in
from hnp_pipeline.evaluation.test_evaluation import scores_of_models
from hnp_pipeline.progress import Report, silent
from hnp_pipeline.schemas import SUBGROUPS
from hnp_pipeline.vocabulary import Split


def subgroups(
    predictions: pa.Table,
    thresholds: pa.Table,
    cohort: pa.Table,
    settings: study.Evaluation,
    age_bands: Sequence[int] = (40, 60, 80),
    image_bands: Sequence[int] = (2, 4, 7),
    report: Report = silent,
) -> pa.Table:
    """The ensemble's test figures in each group, at the same thresholds, with intervals over its patients.

    A patient is in each group that has an image of theirs, and is then judged by those images alone; or, where
    models answer for patients, by the one answer, of which no view can be told apart. Figures from too few
    patients carry the note that `metrics` has.

    Args:
        predictions: TEST_IMAGE_PREDICTIONS.
        thresholds: THRESHOLDS.
        cohort: COHORT with every image of the predictions.
        settings: how the ensemble decides, the bootstrap.
        age_bands: the ages (years) at which a new band begins.
        image_bands: the numbers of images at which a new band begins.
        report: told after each group.

    Returns:
        SUBGROUPS.

    Raises:
        StepError: an image, or a patient, is not in the cohort.
    """
    tables = [schemas.empty(SUBGROUPS)]
    tasks = tasks_in(predictions)
    for t, task in enumerate(tasks):
        models, cuts, _ = scores_of_models(predictions, thresholds, task)
        whole = models[0].unit == "patient"
        images, patient = _asked(models[0], cohort, task)
        groups = [
            g for g in _groups(images, patient, age_bands, image_bands) if not (whole and g[0] == "view")
        ]
        for i, (by, group, held) in enumerate(groups):
            report((t + i / len(groups)) / len(tasks), f"{task}: {by} {group}")
            inside = held
            if whole:
                inside = np.isin(models[0].patient, patient[held])
                held = np.isin(patient, patient[held])
            members = [m.only(inside) for m in models]
            together = ensemble(members)
            counts = resample(len(together.patients), settings.bootstrap_draws, settings.seed)
            for unit, one in together.units().items():
                each = [m.units()[unit] for m in members]
                e = estimate(one, decisions(each, cuts, one, settings.decision), counts, unit)
                rows = metric_rows(e, settings, task, "test", None)
                positives = dict(zip(one.levels, e.patients[1].tolist(), strict=False))
                facts = {
                    "by": [by] * len(rows),
                    "group": [group] * len(rows),
                    "images": [int(held.sum())] * len(rows),
                    "patients": [len(together.patients)] * len(rows),
                    "positive_patients": [positives.get(k) for k in rows["level"].to_pylist()],
                }
                columns = [facts[c.name] if c.name in facts else rows[c.name] for c in SUBGROUPS]
                tables.append(pa.table(columns, schema=schemas.schema(SUBGROUPS)))
    report(1, "subgroups done")
    return pa.concat_tables(tables)


def _asked(scores: Scores, cohort: pa.Table, task: str) -> tuple[pa.Table, np.ndarray]:
    """COHORT of the images that were asked about, and whose each is: of patients' answers, all of the patient's."""
    if scores.unit == "patient":
        column, names = "patient_key", scores.patients
        cohort = cohort.filter(pc.equal(cohort["split"], Split.TEST.value))
    else:
        column, names = "image_id", scores.images
    known = cohort[column].combine_chunks()
    wanted = pa.array(names, pa.string())
    place = pc.index_in(wanted, value_set=known)
    if place.null_count:
        raise StepError(
            f"{place.null_count} test {scores.unit}s of task {task} are not in the cohort: predict again"
        )
    if scores.unit == "image":
        return cohort.take(place), scores.patient
    whose = pc.index_in(known, value_set=wanted)
    return cohort.filter(whose.is_valid()), whose.drop_null().to_numpy()


def _groups(
    images: pa.Table, patient: np.ndarray, age_bands: Sequence[int], image_bands: Sequence[int]
) -> Iterator[tuple[str, str, np.ndarray]]:
    """What it is grouped by, which group, and which images are in it, in reading order."""
    for by in ("hospital", "view", "sex"):
        value = pc.fill_null(images[by], "unknown").to_numpy()
        for group in sorted(set(value)):
            yield by, group, value == group
    yield from _banded("age", images["age"].to_numpy(), age_bands, "{} to {}", "under {}", "{} and over")
    count = np.bincount(patient)[patient] if len(patient) else patient
    yield from _banded("images", count, image_bands, "{} to {}", "up to {}", "{} and more")
    value = images["collection"].to_numpy()
    for group in sorted(set(value)):
        yield "collection", group, value == group


def _banded(
    by: str, value: np.ndarray, starts: Sequence[int], between: str, first: str, last: str
) -> Iterator[tuple[str, str, np.ndarray]]:
    below = starts[0] - 1 if by == "images" else starts[0]
    names = [first.format(below)]
    for a, b in pairwise(starts):
        names.append(str(a) if b == a + 1 else between.format(a, b - 1))
    names.append(last.format(starts[-1]))
    band = np.digitize(value, starts)
    for i, name in enumerate(names):
        if (band == i).any():
            yield by, name, band == i
