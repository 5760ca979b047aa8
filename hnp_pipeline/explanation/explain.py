"""The most probable test (image, level) pairs and their heat maps (paper, sections 2.4 and 3.5; design 9)."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hnp_pipeline import schemas, study
from hnp_pipeline.evaluation.ensemble import decisions, ensemble
from hnp_pipeline.evaluation.test_evaluation import scores_of_models
from hnp_pipeline.explanation.directories import replacing_directory, write_bytes
from hnp_pipeline.explanation.gradcam import gradcam
from hnp_pipeline.explanation.overlays import contact_sheet, heat_image, overlay
from hnp_pipeline.progress import Report, silent
from hnp_pipeline.training.batches import Images
from hnp_pipeline.training.inference import FoldModel
from hnp_pipeline.vocabulary import LEVEL_TITLES, outputs


def most_probable(
    predictions: pa.Table, thresholds: pa.Table, task: str, settings: study.Evaluation, count: int
) -> pa.Table:
    """The `count` (test image, level) pairs of the highest ensemble probability, falling.

    Equal probabilities are ordered by image id, then level.

    Args:
        predictions: TEST_IMAGE_PREDICTIONS with this task's rows.
        thresholds: THRESHOLDS with this task's rows.
        task: whose own outputs are asked for.
        settings: how the ensemble decides.
        count: how many pairs at most.

    Returns:
        image_id, level, probability, label, correct (the decision is the label; null without a decision).
    """
    own = outputs(task)
    if not predictions.filter(pc.equal(predictions["task"], task)).num_rows:
        names, p, y, decided = np.zeros(0, object), *(np.zeros((0, len(own))) for _ in range(3))
    else:
        models, cuts, _ = scores_of_models(predictions, thresholds, task)
        cuts = cuts[:, : len(own)]
        together = ensemble(models)
        names, p, y = together.images, together.probability, together.label
        decided = decisions(models, cuts, together, settings.decision)
    image, level = np.divmod(np.arange(p.size), len(own))
    by_name = np.argsort(np.argsort(names, kind="stable"), kind="stable")[image]
    first = np.lexsort((level, by_name, -p.ravel()))[:count]
    decision, label = decided.ravel()[first], y.ravel()[first].astype(np.int8)
    return pa.table(
        {
            "image_id": pa.array(names[image[first]], pa.string()),
            "level": pa.array(np.array(own, object)[level[first]], pa.string()),
            "probability": p.ravel()[first],
            "label": label,
            "correct": pa.array((decision == label).astype(np.int8), mask=np.isnan(decision)),
        }
    )


def explain(
    models: Sequence[FoldModel],
    images: Images,
    pairs: pa.Table,
    directory: Path,
    home: Path,
    task: str,
    settings: study.Explanation,
    report: Report = silent,
) -> pa.Table:
    """Write the pairs' overlays and heat maps, with a contact sheet, and say where they are.

    The directory is written beside itself and exchanged whole: killed at any moment, the old one or the new
    one is there. File names hold rank and level only.

    Args:
        models: of this task, on one device; may be none where there are no pairs.
        images: gray uint8 pictures prepared with the models' imaging settings.
        pairs: image_id, position (in `images`), level, probability, label, correct; optionally age in years and
            view (for models that take them). In the order of their ranks.
        directory: `<home>/gradcam/<task>`.
        home: what the table's file names are relative to.
        task: whose models they are.
        settings: the batch size.
        report: told how far it is.

    Returns:
        GRADCAM rows.
    """
    levels = pairs["level"].to_pylist()
    positions = pairs["position"].to_numpy().astype(np.int64)
    ages = None
    if "age" in pairs.column_names:
        ages = pc.fill_null(pairs["age"].cast(pa.float64()), np.nan).to_numpy()
    views = pairs["view"].to_numpy() if "view" in pairs.column_names else None
    units = np.array([outputs(task).index(level) for level in levels], np.int64)
    heats = gradcam(
        models,
        images,
        positions,
        units,
        ages,
        settings.batch_size,
        lambda f, m: report(0.8 * f, m),
        views,
    )
    stems = [f"{rank:04d}_{level}" for rank, level in enumerate(levels, 1)]
    where = directory.relative_to(home).as_posix()
    with replacing_directory(directory) as temporary:
        sheet = []
        rows = pairs.select(["level", "probability", "label", "correct"]).to_pylist()
        for i, (stem, row) in enumerate(zip(stems, rows, strict=True)):
            picture = images.gather(positions[i : i + 1])[0]
            heat = heat_image(heats[i], picture.shape)
            correct = None if row["correct"] is None else bool(row["correct"])
            words = caption(row["level"], row["probability"], row["label"], correct)
            shown = overlay(picture, heat, words, correct)
            write_bytes(temporary / f"{stem}.png", cv2.imencode(".png", heat)[1])
            write_bytes(temporary / f"{stem}.jpg", cv2.imencode(".jpg", shown)[1])
            sheet.append(shown)
            report(0.8 + 0.2 * (i + 1) / len(stems), f"{i + 1} of {len(stems)} overlays")
        if sheet:
            write_bytes(temporary / "contact_sheet.jpg", cv2.imencode(".jpg", contact_sheet(sheet))[1])
    return pa.table(
        [
            pa.array([task] * len(stems), pa.string()),
            pa.array(range(1, len(stems) + 1), pa.int32()),
            *(pairs[k] for k in ("image_id", "level", "probability", "label", "correct")),
            pa.array([f"{where}/{stem}.jpg" for stem in stems], pa.string()),
            pa.array([f"{where}/{stem}.png" for stem in stems], pa.string()),
        ],
        names=[c.name for c in schemas.GRADCAM],
    ).cast(schemas.schema(schemas.GRADCAM))


def caption(level: str, probability: float, label: int, correct: bool | None) -> str:
    """What stands under an overlay, such as `L4-5  p 0.93  MRI: herniation  right`."""
    truth = "herniation" if label else "no herniation"
    verdict = {True: "right", False: "wrong", None: "no decision"}[correct]
    return f"{LEVEL_TITLES[level]}  p {probability:.2f}  MRI: {truth}  {verdict}"
