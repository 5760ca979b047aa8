"""Small sets in memory: a bright patch in a band says that its level is positive."""

import hashlib

import numpy as np
import pyarrow as pa

from hnp_pipeline.vocabulary import LEVELS, VIEWS


class ArrayStore:
    """An image store in memory."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        self.gathered = 0

    def __len__(self) -> int:
        return len(self.pixels)

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        self.gathered += len(indices)
        return np.take(self.pixels, indices, axis=0, out=out)


def make_set(count: int, size: int = 32, seed: int = 0) -> tuple[ArrayStore, pa.Table]:
    """Pictures with labels that can be learnt, and their table of examples sorted by sha256."""
    rng = np.random.default_rng(seed)
    labels = rng.random((count, 5)) < 0.4
    pixels = rng.integers(0, 60, (count, size, size), dtype=np.uint8)
    band = size // 5
    for k in range(5):
        pixels[labels[:, k], k * band : (k + 1) * band, size // 4 : size // 2] += 150
    order = np.argsort([hashlib.sha256(p.tobytes()).hexdigest() for p in pixels])
    labels, pixels = labels[order], pixels[order]
    columns: dict[str, object] = {
        "sha256": [hashlib.sha256(p.tobytes()).hexdigest() for p in pixels],
        "fold": pa.array(np.arange(count) % 4, pa.int32()),
        "age": rng.uniform(20, 80, count),
        "sex": ["M"] * count,
        "view": ["LAT"] * count,
        **{level: pa.array(labels[:, k].astype(np.int8)) for k, level in enumerate(LEVELS)},
        "hnp": pa.array(labels.any(axis=1).astype(np.int8)),
    }
    return ArrayStore(pixels), pa.table(columns)


def make_patients(count: int, size: int = 32, seed: int = 0) -> tuple[ArrayStore, pa.Table]:
    """Patients with one to five images of different views; only the LAT image of a patient shows anything."""
    rng = np.random.default_rng(seed)
    images = rng.integers(1, 6, count)
    patient = np.repeat(np.arange(count), images)
    view = np.concatenate([np.array(VIEWS, object)[rng.permutation(5)[:k]] for k in images])
    view[np.searchsorted(patient, np.arange(count))] = "LAT"
    labels = (rng.random((count, 5)) < 0.4)[patient]
    pixels = rng.integers(0, 60, (len(patient), size, size), dtype=np.uint8)
    band = size // 5
    for k in range(5):
        shown = labels[:, k] & (view == "LAT")
        pixels[shown, k * band : (k + 1) * band, size // 4 : size // 2] += 150
    sha256 = np.array([hashlib.sha256(p.tobytes()).hexdigest() for p in pixels])
    lowest = np.array([min(sha256[patient == p]) for p in range(count)])
    columns: dict[str, object] = {
        "sha256": sha256,
        "fold": (patient % 4).astype(np.int32),
        "age": rng.uniform(20, 80, count)[patient],
        "view": view.astype(str),
        "patient": lowest[patient],
        **{level: labels[:, k].astype(np.int8) for k, level in enumerate(LEVELS)},
        "hnp": labels.any(axis=1).astype(np.int8),
    }
    order = np.argsort(sha256)
    return ArrayStore(pixels[order]), pa.table({k: np.asarray(v)[order] for k, v in columns.items()})
