from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest

from hnp_pipeline.cohort.near_duplicates import find_near_duplicates, hash_images

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "radiographs"
SIZE = 128


class Pictures:
    def __init__(self, pictures: list[Any]) -> None:
        self.pictures = np.stack(pictures)
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.pictures)

    def gather(self, indices: Any) -> Any:
        self.read += indices.tolist()
        return self.pictures[indices]


def table(patients: list[str], splits: list[str] | None = None) -> pa.Table:
    n = len(patients)
    return pa.table(
        {
            "image_id": [f"first/{i}" for i in range(n)],
            "patient_key": patients,
            "split": splits or ["development"] * n,
            "sha256": [f"sha {i}" for i in range(n)],
        }
    )


def scene(seed: int) -> Any:
    """Random shapes of every size, 400 × 300."""
    random = np.random.default_rng(seed)
    picture = np.full((400, 300), 128, np.float32)
    for cells in (4, 8, 16, 32):
        rough = random.normal(0, 30, (cells, cells)).astype(np.float32)
        picture += cv2.resize(rough, (300, 400), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)


def prepared(picture: Any) -> Any:
    return cv2.resize(cv2.createCLAHE(2.0, (8, 8)).apply(picture), (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def copies(picture: Any) -> list[Any]:
    height, width = picture.shape
    half = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    coarse = cv2.imdecode(
        cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_GRAYSCALE
    )
    smaller = cv2.resize(picture, (width * 7 // 10, height * 7 // 10))
    both = cv2.imdecode(
        cv2.imencode(".jpg", smaller, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_GRAYSCALE
    )
    return [half, coarse, both]


def found(pictures: list[Any], images: pa.Table, **options: Any) -> set[tuple[int, int]]:
    hashes = hash_images(Pictures(pictures), images["sha256"])
    pairs = find_near_duplicates(images, hashes, **options).to_pylist()
    return {(int(p["image_id"].split("/")[1]), int(p["other_image_id"].split("/")[1])) for p in pairs}


def test_copies_are_found_and_others_not() -> None:
    scenes = [scene(s) for s in range(10)]
    pictures = [prepared(p) for s in scenes for p in (s, *copies(s))]
    patients = [f"p{i}" for i in range(len(pictures))]
    expected = {(4 * s + a, 4 * s + b) for s in range(10) for a, b in combinations(range(4), 2)}
    assert {tuple(sorted(pair)) for pair in found(pictures, table(patients))} == expected


def test_one_patients_own_images_are_no_finding_unless_in_both_splits() -> None:
    pictures = [prepared(scene(1))] * 2 + [prepared(scene(2))] * 2
    images = table(["p", "p", "q", "q"], ["development", "development", "development", "test"])
    assert found(pictures, images) == {(2, 3)}


def test_blank_pictures_are_left_out() -> None:
    pictures = [np.full((SIZE, SIZE), v, np.uint8) for v in (0, 0, 255)]
    assert found(pictures, table(["p", "q", "r"])) == set()


def test_only_new_pictures_are_read() -> None:
    store = Pictures([prepared(scene(s)) for s in range(6)])
    images = table([f"p{i}" for i in range(6)])
    keys = images["sha256"].combine_chunks()
    whole = hash_images(store, keys)
    assert whole["sha256"].combine_chunks() == keys
    store.read.clear()
    some = whole.take(pa.array([4, 0, 2]))
    assert hash_images(store, keys, some).equals(whole)
    assert store.read == [1, 3, 5]


def test_every_pair_within_the_distance_and_no_other() -> None:
    """Against all pairs, on hashes in clusters around a few."""
    random = np.random.default_rng(0)
    bits = random.random((6, 256))[random.integers(0, 6, 300)] < 0.5
    bits ^= random.random(bits.shape) < random.uniform(0.0, 0.12, (300, 1))
    words = np.ascontiguousarray(np.packbits(bits, axis=1, bitorder="little")).view("<u8")
    images = table([f"p{i % 100}" for i in range(300)])
    hashes = pa.table([images["sha256"], *words.T], names=["sha256", "hash0", "hash1", "hash2", "hash3"])
    for distance in (0, 24, 31):
        pairs = find_near_duplicates(images, hashes, distance).to_pylist()
        expected = {
            (f"first/{i}", f"first/{j}"): int((bits[i] ^ bits[j]).sum())
            for i, j in combinations(range(300), 2)
            if i % 100 != j % 100 and (bits[i] ^ bits[j]).sum() <= distance
        }
        assert {
            tuple(sorted((p["image_id"], p["other_image_id"]), key=lambda name: int(name[6:]))): p["distance"]
            for p in pairs
        } == expected
        assert [p["distance"] for p in pairs] == sorted(expected.values())
    assert len(expected) > 100


def test_a_distance_that_would_miss_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match="31"):
        find_near_duplicates(
            table(["p"]), hash_images(Pictures([prepared(scene(1))]), pa.array(["sha 0"])), 32
        )


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared data")
def test_real_radiographs() -> None:
    films = [cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) for p in sorted(SHARED.rglob("*.[jp][pn]g"))]
    assert len(films) > 10
    pictures = [prepared(p) for film in films for p in (film, *copies(film))]
    patients = [f"p{i}" for i in range(len(pictures))]
    expected = {(4 * s + a, 4 * s + b) for s in range(len(films)) for a, b in combinations(range(4), 2)}
    assert {tuple(sorted(pair)) for pair in found(pictures, table(patients))} == expected
