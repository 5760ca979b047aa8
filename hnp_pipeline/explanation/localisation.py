"""Where the heat falls, where it is known where the discs are: on the named disc, on the others, and by chance.

The share of heat within a box is Wang et al.'s energy-based pointing game (Score-CAM, CVPR Workshops 2020, section 4.3);
the hottest place within it, Zhang et al.'s pointing game (Int. J. Comput. Vis. 2018; 126: 1084-1102).
"""

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hnp_pipeline import study
from hnp_pipeline.errors import StepError
from hnp_pipeline.evaluation.bootstrap import interval, resample, weighted_sums
from hnp_pipeline.evaluation.doubts import doubt
from hnp_pipeline.schemas import LOCALISATION, schema
from hnp_pipeline.vocabulary import ALL, LEVELS

_BOX = ("x", "y", "width", "height")


def localise(
    maps: pa.Table, discs: pa.Table, home: Path, imaging: study.Imaging, settings: study.Evaluation
) -> pa.Table:
    """How much of the heat falls on the named disc, by level and over all of them.

    Args:
        maps: rows of `gradcam` of one task, of positive images, with `patient_key`, and the `width` and `height` of
            the image's file in pixels. Only those of a level count.
        discs: `image_id`, and by level `<level>_x`, `_y` (the disc's middle), `_width`, `_height`, in pixels of the
            image's file; of some of the images at least.
        home: what `heatmap` is relative to.
        imaging: how the pictures of the maps were made from the files.
        settings: draws, seed and confidence of the intervals.

    Returns:
        a table of `LOCALISATION`; no rows where no disc is known.

    Raises:
        StepError: a heat map cannot be read.
    """
    known = maps.filter(pc.is_in(maps["level"], pa.array(LEVELS))).join(discs, "image_id", join_type="inner")
    known = known.sort_by([("task", "ascending"), ("rank", "ascending")])
    if not known.num_rows:
        return schema(LOCALISATION).empty_table()
    heats = [_heat(home / name) for name in known["heatmap"].to_pylist()]
    within = _boxes(known, imaging)
    parts = [_shares(heat, boxes) for heat, boxes in zip(heats, within, strict=True)]
    share, chance, hit, near = (np.array(values) for values in zip(*parts, strict=True))  # (n, 5) each
    named = pc.index_in(known["level"], pa.array(LEVELS)).to_numpy()
    each = np.arange(len(named))
    own, own_chance = share[each, named], chance[each, named]
    others, others_chance = (share.sum(1) - own) / 4, (chance.sum(1) - own_chance) / 4
    measured = np.column_stack([own, own_chance, others, others_chance, near[each, named], hit[each, named]])
    patient = known["patient_key"].combine_chunks().dictionary_encode().indices.to_numpy()
    task, rows = known["task"][0].as_py(), []
    for level, of in [*((level, named == i) for i, level in enumerate(LEVELS)), (ALL, named >= 0)]:
        if of.any():
            rows.append({"task": task, "level": level, **_means(measured[of], patient[of], settings)})
    return pa.Table.from_pylist(rows, schema(LOCALISATION))


def _means(
    measured: np.ndarray, patient: np.ndarray, settings: study.Evaluation
) -> dict[str, float | int | str | None]:
    """Means over maps (n, 6), the first with its interval from a bootstrap over patients."""
    patients, patient = np.unique(patient, return_inverse=True)
    counts = resample(len(patients), settings.bootstrap_draws, settings.seed)
    sums = weighted_sums(np.column_stack([measured[:, 0], np.ones(len(patient))]), patient, counts)
    low, high = interval(sums[1:, 0] / sums[1:, 1], settings.confidence)
    told: dict[str, float | int | str | None] = {
        "maps": len(patient),
        "patients": len(patients),
        "ci_low": float(low),
        "ci_high": float(high),
    }
    names = ("share", "chance", "other_discs", "other_chance", "nearest", "hits")
    told["reason"] = doubt(len(patients), None, settings.few_patients) or None  # maps are of positive images
    return told | dict(zip(names, measured.mean(0).tolist(), strict=True))


def _heat(path: Path) -> np.ndarray:
    heat = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if heat is None:
        raise StepError(f"the heat map {path} cannot be read: materialise gradcam again")
    return heat


def _boxes(known: pa.Table, imaging: study.Imaging) -> np.ndarray:
    """The discs' boxes in the cache's pixels: (n, 5 levels, left top right bottom), whole numbers."""
    size, sides = imaging.size, np.column_stack([known["width"].to_numpy(), known["height"].to_numpy()])
    fitted = np.full(sides.shape, size)
    if imaging.aspect == "pad":
        fitted = np.maximum(1, np.rint(sides * (size / sides.max(1, keepdims=True)))).astype(int)
    scale, margin = (fitted / sides)[:, None, :], ((size - fitted) // 2)[:, None, :]
    box = np.stack([np.column_stack([known[f"{v}_{k}"].to_numpy() for v in LEVELS]) for k in _BOX], axis=-1)
    middle, half = box[..., :2], box[..., 2:] / 2
    corners = [np.floor((middle - half) * scale) + margin, np.ceil((middle + half) * scale) + margin]
    return np.clip(np.concatenate(corners, axis=-1), 0, size).astype(int)


def _shares(heat: np.ndarray, boxes: np.ndarray) -> tuple[list[float], list[float], list[bool], list[bool]]:
    """Of each box (5, 4): its share of the heat, of the picture; whether the hottest place lies in it, nearest to it."""
    whole = max(1, int(heat.sum(dtype=np.int64)))  # a cold map has no heat on any disc
    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    share = [heat[top:bottom, left:right].sum(dtype=np.int64) / whole for left, top, right, bottom in boxes]
    area = [(right - left) * (bottom - top) / heat.size for left, top, right, bottom in boxes]
    hit = [bool(left <= x < right and top <= y < bottom) for left, top, right, bottom in boxes]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    nearest = int(np.hypot(*(middle - (x, y)).T).argmin())
    return share, area, hit, [i == nearest for i in range(len(boxes))]
