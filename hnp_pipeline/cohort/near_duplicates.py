"""Images of different patients, or of the two splits, that are one picture re-encoded or resized: for review.

A picture's hash is the signs of its low frequencies against their median (pHash: Zauner, Implementation and
Benchmarking of Perceptual Image Hash Functions, 2010), here 256 of them: on real radiographs copies differ in at most
18, pictures of two patients in more than 100. Hashes that differ in fewer than 2m bits differ in at most one bit of
some one of m parts, so only pictures that nearly share a part are compared (multi-index hashing: Norouzi et al., CVPR
2012), which is far from every pair.
"""

from typing import Protocol

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hnp_pipeline import schemas
from hnp_pipeline.progress import Report, silent
from hnp_pipeline.schemas import Column

_SIDE = 16  # frequencies along each axis, and bits of a part
_BATCH = 64
_WORDS = tuple(f"hash{i}" for i in range(_SIDE * _SIDE // 64))

HASHES = [
    Column("sha256", pa.string(), "SHA-256 of the image file"),
    *(
        Column(word, pa.uint64(), "64 bits of the perceptual hash; null where the picture is blank")
        for word in _WORDS
    ),
]
NEAR_DUPLICATES = [
    Column("image_id", pa.string(), "an image"),
    Column(
        "other_image_id",
        pa.string(),
        "an image of another patient, or in the other split, that looks the same",
    ),
    Column("split", pa.string(), "split of the image"),
    Column("other_split", pa.string(), "split of the other"),
    Column("distance", pa.int32(), "bits of 256 in which the perceptual hashes differ"),
]


class Images(Protocol):
    """Prepared pictures by position, as imaging's ImageStore."""

    def __len__(self) -> int: ...

    def gather(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Pictures at these positions: uint8 (batch, size, size)."""
        ...


def hash_images(
    images: Images, sha256: pa.Array | pa.ChunkedArray, known: pa.Table | None = None, report: Report = silent
) -> pa.Table:
    """The perceptual hash of each picture.

    Args:
        images: the pictures.
        sha256: which file each is, in their order.
        known: what this function gave before; pictures in it are not read again. Good for one imaging setting.
        report: told how far it is.

    Returns:
        HASHES columns, a row a picture in the order given.
    """
    empty = schemas.empty(HASHES)
    known = empty if known is None else known
    keys = pa.chunked_array([sha256]) if isinstance(sha256, pa.Array) else sha256
    place = pc.index_in(keys, value_set=known["sha256"].combine_chunks())
    new = np.flatnonzero(place.is_null().to_numpy())
    words = np.zeros((len(new), len(_WORDS)), np.uint64)
    blank = np.zeros(len(new), bool)
    for start in range(0, len(new), _BATCH):
        batch = new[start : start + _BATCH]
        words[start : start + _BATCH], blank[start : start + _BATCH] = _hash(images.gather(batch))
        report((start + len(batch)) / len(new), f"compared {start + len(batch)} of {len(new)} pictures")
    columns = [keys.take(pa.array(new)), *(pa.array(w, pa.uint64(), mask=blank) for w in words.T)]
    fresh = pa.table(columns, schema=empty.schema)
    order = place.fill_null(0).to_numpy().astype(np.int64)
    order[new] = known.num_rows + np.arange(len(new))
    return pa.concat_tables([known.cast(empty.schema), fresh]).take(pa.array(order))


def find_near_duplicates(
    images: pa.Table, hashes: pa.Table, distance: int = 30, threads: int | None = None
) -> pa.Table:
    """Every pair of pictures of different patients or splits whose hashes differ in at most `distance` bits.

    Args:
        images: image_id, patient_key, split, sha256.
        hashes: what `hash_images` gave for them.
        distance: bits of 256, under 32.
        threads: at most so many; default every core.

    Returns:
        NEAR_DUPLICATES columns, the nearest pairs first; a pair stands once.
    """
    if not 0 <= distance < 2 * _SIDE:
        raise ValueError(f"distance must lie between 0 and {2 * _SIDE - 1}, not {distance}")
    apart = " + ".join(f"bit_count(xor(a.{word}, b.{word}))::INTEGER" for word in _WORDS)
    with duckdb.connect(config={"threads": threads} if threads else {}) as db:
        db.register("given", images)
        db.register("hashed", hashes)
        db.execute(_PICTURES)
        for part in range(_SIDE):
            bits = f"(hash{part // 4} >> {part % 4 * _SIDE}) & {(1 << _SIDE) - 1}"
            db.execute(
                f"""
                INSERT INTO pairs
                SELECT a.picture, b.picture, {apart} AS distance
                FROM (SELECT *, xor({bits}, flip) AS part FROM pictures, flips) a
                JOIN (SELECT *, {bits} AS part FROM pictures) b ON a.part = b.part
                WHERE a.picture < b.picture AND a.holder <> b.holder AND {apart} <= {distance}
                """
            )
        return db.sql(_LISTING).to_arrow_table().cast(schemas.schema(NEAR_DUPLICATES))


# Numbers for names, since these rows are joined many times; `holder`: a patient's part of a split.
_PICTURES = f"""
    CREATE TABLE pictures AS
    SELECT
        row_number() OVER (ORDER BY image_id)::INTEGER AS picture,
        dense_rank() OVER (ORDER BY patient_key, split)::INTEGER AS holder,
        image_id,
        split,
        {", ".join(_WORDS)}
    FROM given JOIN (SELECT DISTINCT * FROM hashed) USING (sha256)
    WHERE hash0 IS NOT NULL;
    CREATE TABLE pairs (a INTEGER, b INTEGER, distance INTEGER);
    CREATE TABLE flips AS SELECT 0::UBIGINT AS flip UNION SELECT 1::UBIGINT << i FROM range({_SIDE}) t(i);
"""
_LISTING = """
    SELECT
        one.image_id, other.image_id AS other_image_id, one.split, other.split AS other_split, distance
    FROM (SELECT DISTINCT * FROM pairs)
    JOIN pictures one ON one.picture = a
    JOIN pictures other ON other.picture = b
    ORDER BY distance, a, b
"""


def _hash(pictures: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """(batch, words) and which are blank."""
    waves = _waves(pictures.shape[1])
    low = waves @ pictures.astype(np.float32) @ waves.T  # the lowest frequencies: (batch, side, side)
    flat = low.reshape(len(low), -1)
    bits = flat > np.median(flat, axis=1, keepdims=True)
    # a part of the hash mixes low and high frequencies: the low ones alone say what a lumbar spine is like
    u, v = np.divmod(np.arange(_SIDE * _SIDE), _SIDE)
    mixed = bits[:, np.lexsort((v, (u + 5 * v) % _SIDE))]
    words = np.ascontiguousarray(np.packbits(mixed, axis=1, bitorder="little")).view("<u8").astype(np.uint64)
    return words, np.ptp(pictures.reshape(len(pictures), -1), axis=1) < 8


def _waves(size: int) -> npt.NDArray[np.float32]:
    """(side, size): the lowest cosines of the discrete cosine transform."""
    angles = np.pi / size * np.outer(np.arange(_SIDE), np.arange(size) + 0.5)
    return (np.cos(angles) / size).astype(np.float32)
