"""A small study's tables for the report's tests: made from a seed, figures by the evaluation."""

import datetime
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from hnp_pipeline import schemas, tables
from hnp_pipeline.evaluation.calibration import calibration
from hnp_pipeline.evaluation.comparisons import averaging, compare_study
from hnp_pipeline.evaluation.cross_validation import cross_validate
from hnp_pipeline.evaluation.decision_curve import decision_curve
from hnp_pipeline.evaluation.level_matrix import level_matrix
from hnp_pipeline.evaluation.subgroups import subgroups
from hnp_pipeline.evaluation.test_evaluation import evaluate_test
from hnp_pipeline.study import Study
from hnp_pipeline.vocabulary import ALL, HNP, LEVELS, VIEWS, Reason, outputs, unit

PREVALENCE = (0.12, 0.2, 0.25, 0.4, 0.35)
FACTS = {
    "study": "phantom",
    "created": "2026-11-22T10:30:00+00:00",
    "versions": {"python": "3.11", "torch": "2.13.0"},
    "git": "0123456789abcdef",
    "settings_hash": "fedcba9876543210",
    "development_set": "00112233",
    "mlflow": [
        {"task": "level", "name": "level, 4 folds", "url": "http://127.0.0.1:5000/#/experiments/1/runs/abc"}
    ],
    "roles": {"first": "development", "second": "test"},
    "label_disagreements": 3,
    "notes": ["The collection third is stale: its table xrays lacks the column view."],
}


def write_tables(
    folder: Path,
    study: Study,
    *,
    development: int = 160,
    test: int = 60,
    hospital: str = "Hospital A",
    tasks: tuple[str, ...] | None = None,
    rare: bool = False,
    findings: bool = False,
    seed: int = 1,
) -> None:
    """Write every table of a study with so many patients.

    With `rare` no test patient is positive at L1-2. Without `findings` the tables beyond `metrics` have no rows.
    """
    rng = np.random.default_rng(seed)
    parts = [cohort("development", development, rng, hospital)]
    if test:
        parts.append(cohort("test", test, rng, hospital, rare))
    whole = pa.concat_tables(parts)
    of_tasks = study.tasks if tasks is None else tasks
    validation = predictions(whole, "development", of_tasks, rng)
    images = predictions(whole, "test", of_tasks, rng)
    thresholds, of_validation = cross_validate(validation, study.evaluation)
    decided, of_test = evaluate_test(images, thresholds, study.evaluation)
    written = {
        "cohort": whole,
        "exclusions": exclusions(whole),
        "cohort_flow": flow(whole),
        "validation_predictions": validation,
        "test_image_predictions": images,
        "test_predictions": decided,
        "thresholds": thresholds,
        "metrics": pa.concat_tables([of_validation, of_test]),
        "gradcam": heat_maps(folder.parent, whole, of_tasks, rng),
    }
    if findings:
        written |= _findings(validation, images, thresholds, whole, study)
    for name, (_, columns) in schemas.TABLES.items():
        table = written.get(name, schemas.empty(columns))
        tables.write_table(table.cast(schemas.schema(columns)), folder / f"{name}.parquet")


def _findings(
    validation: pa.Table, test: pa.Table, thresholds: pa.Table, whole: pa.Table, study: Study
) -> dict[str, pa.Table]:
    settings = study.evaluation
    reliability, calibrated = calibration(validation, test, settings)
    of_levels = [level_matrix(validation, "validation", settings), level_matrix(test, "test", settings)]
    discs = {"task": "level", "maps": 12, "patients": 9, "share": 0.2, "ci_low": 0.15, "ci_high": 0.27}
    discs |= {"chance": 0.04, "other_discs": 0.06, "other_chance": 0.05, "nearest": 0.75, "hits": 0.5}
    rows = [{**discs, "level": level} for level in (*LEVELS, ALL)]
    return {
        "subgroups": subgroups(test, thresholds, whole, settings),
        "comparisons": compare_study(validation, test, whole, settings),
        "averaging": averaging(test, settings),
        "calibration": calibrated,
        "reliability": reliability,
        "decision_curve": decision_curve(validation, test, settings),
        "level_matrix": pa.concat_tables([matrix for matrix, _ in of_levels]),
        "level_lead": pa.concat_tables([lead for _, lead in of_levels]),
        "localisation": pa.Table.from_pylist(rows, schema=schemas.schema(schemas.LOCALISATION)),
    }


def write_empty(folder: Path) -> None:
    """Write every table with zero rows."""
    for name, (_, columns) in schemas.TABLES.items():
        tables.write_table(schemas.empty(columns), folder / f"{name}.parquet")


def cohort(
    split: str, patients: int, rng: np.random.Generator, hospital: str, rare: bool = False
) -> pa.Table:
    """The images of so many patients, one to six each, a label a patient."""
    images = rng.integers(1, 7, patients)
    person = np.repeat(np.arange(patients), images)
    view = np.concatenate([np.arange(n) for n in images])
    prevalence = np.array((0, *PREVALENCE[1:])) if rare else np.array(PREVALENCE)
    labels = (rng.random((patients, 5)) < prevalence).astype(np.int8)
    first = datetime.date(2012, 1, 1) if split == "development" else datetime.date(2020, 4, 1)
    days = np.array([np.datetime64(first, "D") + int(d) for d in rng.integers(0, 300, patients)])
    interval = rng.integers(-90, 91, patients)
    collection = "first" if split == "development" else "second"
    sex = np.array(["F", "M", None], object)[rng.choice(3, patients, p=(0.5, 0.45, 0.05))]
    columns = {
        "image_id": [f"{collection}/{i + 1}" for i in range(len(person))],
        "collection": [collection] * len(person),
        "split": [split] * len(person),
        "fold": pa.array(person % 4 if split == "development" else [None] * len(person), pa.int32()),
        "patient_key": [f"{split[0]}{k:04d}" for k in person],
        "hospital": [hospital if k % 3 else "Hospital B" for k in person],
        "view": [VIEWS[v] for v in view],
        "sex": sex[person],
        "age": rng.uniform(18, 88, patients)[person],
        "xray_date": pa.array(days[person]),
        "mri_date": pa.array((days + interval)[person]),
        "interval_days": interval[person].astype(np.int32),
        **{level: labels[person, i] for i, level in enumerate(LEVELS)},
        "hnp": labels.max(axis=1)[person],
        "sha256": [f"{split}{i:060d}" for i in range(len(person))],
    }
    schema = schemas.schema(schemas.COHORT)
    return pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


def predictions(whole: pa.Table, split: str, tasks: tuple[str, ...], rng: np.random.Generator) -> pa.Table:
    """Probabilities that know the label a little: of each image (or patient) by its own fold's model, on test by all."""
    images = whole.filter(pa.compute.equal(whole["split"], split))
    keys = images["patient_key"].to_pylist()
    patients = images.take(pa.array([i for i, key in enumerate(keys) if key not in keys[:i]], pa.int64()))
    parts = [schemas.empty(schemas.VALIDATION_PREDICTIONS)]
    for task in tasks:
        rows = patients if unit(task) == "patient" else images
        for model in [None] if split == "development" else range(4):
            for level in outputs(task):
                label = rows[level if level != HNP else "hnp"].to_numpy()
                n = len(label)
                _, person = np.unique(rows["patient_key"].to_pylist(), return_inverse=True)
                shared = rng.normal(size=person.max(initial=0) + 1)[person]
                score = 0.9 * label + shared + 0.5 * rng.normal(size=n) - 0.8
                fold = rows["fold"] if model is None else pa.array([model] * n, pa.int32())
                parts.append(
                    pa.table(
                        [
                            pa.array([task] * n, pa.string()),
                            fold,
                            rows["image_id"],
                            rows["patient_key"],
                            pa.array([level] * n, pa.string()),
                            pa.array(1 / (1 + np.exp(-score))),
                            pa.array(label),
                        ],
                        schema=schemas.schema(schemas.VALIDATION_PREDICTIONS),
                    )
                )
    return pa.concat_tables(parts)


def exclusions(whole: pa.Table) -> pa.Table:
    """As many rows as `flow` excludes."""
    rows = [
        {"image_id": f"{collection}/{9000 + i}", "collection": collection, "reason": str(reason)}
        for collection, counts in (("first", DEVELOPMENT_EXCLUDED), ("second", TEST_EXCLUDED))
        if collection == "first" or "second" in whole["collection"].to_pylist()
        for reason, n in zip(Reason, counts, strict=True)
        for i in range(n or 0)
    ]
    return pa.Table.from_pylist(rows, schema=schemas.schema(schemas.EXCLUSIONS))


DEVELOPMENT_EXCLUDED = (None, 12, 4, 7, 2, 9, 3, 41, 12, 6, 58, None, 5, 0)
TEST_EXCLUDED = (None, 3, 0, 1, 0, 2, 0, 9, 4, 1, 12, None, 1, 6)


def flow(whole: pa.Table) -> pa.Table:
    """A flow that ends at the cohort; withdrawal and surgery were not asked."""
    rows = []
    for split, excluded in (("development", DEVELOPMENT_EXCLUDED), ("test", TEST_EXCLUDED)):
        of_split = whole.filter(pa.compute.equal(whole["split"], split))
        if not len(of_split):
            continue
        images = len(of_split) + sum(n or 0 for n in excluded)
        patients = (
            pa.compute.count_distinct(of_split["patient_key"]).as_py() + sum(n or 0 for n in excluded) // 2
        )
        steps = [(None, None, None)]
        steps += [(str(r), n, None if n is None else n // 2) for r, n in zip(Reason, excluded, strict=True)]
        for step, (reason, out_images, out_patients) in enumerate(steps):
            images -= out_images or 0
            patients -= out_patients or 0
            rows.append(
                {
                    "split": split,
                    "step": step,
                    "reason": reason,
                    "images_excluded": out_images,
                    "patients_excluded": out_patients,
                    "images_remaining": images,
                    "patients_remaining": patients,
                }
            )
    return pa.Table.from_pylist(rows, schema=schemas.schema(schemas.COHORT_FLOW))


def heat_maps(home: Path, whole: pa.Table, tasks: tuple[str, ...], rng: np.random.Generator) -> pa.Table:
    """Thirty pairs of the level task with pictures under the home; the last one's picture is missing."""
    ids = [i for i in whole["image_id"].to_pylist() if i.startswith("second/")]
    rows = []
    for rank in range(1, 31 if ids and "level" in tasks else 1):
        name = f"gradcam/level/{rank:04d}.png"
        if rank < 30:
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            ramp = np.linspace(0, 255, 128, dtype=np.uint8)
            cv2.imwrite(
                str(home / name),
                np.dstack([np.full((128, 128), 9 * rank % 256), *np.meshgrid(ramp, ramp)]).astype(np.uint8),
            )
        rows.append(
            {
                "task": "level",
                "rank": rank,
                "image_id": ids[rank],
                "level": LEVELS[int(rng.integers(5))],
                "probability": 0.99 - rank / 100,
                "label": int(rank % 3 != 0),
                "correct": int(rank % 3 != 0),
                "file": name,
                "heatmap": name,
            }
        )
    return pa.Table.from_pylist(rows, schema=schemas.schema(schemas.GRADCAM))
