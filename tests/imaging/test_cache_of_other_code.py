"""Caches that other code made, or that a killed builder left half made anew: nothing of theirs is mixed or kept."""

import os
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from imaging_caches import SETTINGS, build, holds

from hnp_pipeline.errors import StepError
from hnp_pipeline.imaging.cache import (
    ImageCache,
    ImageStore,
    forget_images,
    mend_cache,
)
from hnp_pipeline.imaging.writer import CacheWriter
from hnp_pipeline.study import Imaging


def made_by_other_code(directory: Path, settings: Imaging = SETTINGS) -> None:
    """As if the cache were of a version that made other pixels: all black, with the checksums that belong to them."""
    folder = directory / settings.hash
    index = pq.read_table(folder / "index.parquet")
    black = np.zeros((settings.size, settings.size), np.uint8)
    (folder / index.schema.metadata[b"pixels"].decode()).write_bytes(black.tobytes() * len(index))
    index = index.set_column(2, "checksum", pa.array([zlib.crc32(black)] * len(index)))
    pq.write_table(
        index.replace_schema_metadata({**index.schema.metadata, b"code": b"another"}),
        folder / "index.parquet",
    )


def test_pixels_of_other_code_are_made_anew(directory, images) -> None:
    build(directory, images.slice(0, 30))
    made_by_other_code(directory)
    readers = ImageCache.open(directory, SETTINGS)
    assert build(directory, images) == (40, 0, 0)
    assert holds(directory, images) and not readers.images.any()
    assert len(list((directory / SETTINGS.hash).glob("images*.u8"))) == 1
    assert build(directory, images) == (0, 40, 0)


def test_until_then_readers_have_the_old_ones(directory, images, tmp_path) -> None:
    build(directory, images)
    made_by_other_code(directory)
    (tmp_path / "nothing.jpg").write_bytes(b"")
    lacking = [*images["path"].to_pylist()[:-1], str(tmp_path / "nothing.jpg")]
    with pytest.raises(StepError):
        build(directory, images.set_column(1, "path", pa.array(lacking)))
    assert len(ImageCache.open(directory, SETTINGS)) == 40
    assert build(directory, images) == (40, 0, 0) and holds(directory, images)


def test_other_codes_cache_forgets_and_stays_other_codes(directory, images) -> None:
    build(directory, images)
    made_by_other_code(directory)
    forget_images(directory, images["sha256"].slice(0, 10).combine_chunks())
    assert len(ImageCache.open(directory, SETTINGS)) == 30
    assert build(directory, images.slice(10)) == (30, 0, 0) and holds(directory, images.slice(10))


def test_other_codes_cache_is_not_mended_with_todays_pixels(directory, images) -> None:
    build(directory, images)
    made_by_other_code(directory)
    assert build(directory, images, how=mend_cache) == (0, 40, 0)
    (directory / SETTINGS.hash / "images.u8").write_bytes(b"\1" * 40 * 64 * 64)
    with pytest.raises(StepError, match="hnp run makes it anew"):
        build(directory, images, how=mend_cache)


def test_a_stores_content_is_its_pixels_in_any_order_and_cache(directory, images, tmp_path) -> None:
    other, whole = tmp_path / "cache" / "second", tmp_path / "cache" / "whole"
    build(directory, images.slice(0, 15))
    build(other, images.slice(15))
    build(whole, images)

    def content(*folders: Path, of: pa.Table = images) -> str:
        return ImageStore([ImageCache.open(folder, SETTINGS) for folder in folders], of["sha256"]).content

    shuffled = images.take(pa.array(np.random.default_rng(0).permutation(40)))
    assert content(whole) == content(directory, other) == content(other, directory, of=shuffled)
    assert content(whole, of=images.slice(1)) != content(whole)
    made_by_other_code(other)
    assert content(directory, other) != content(whole)


def half_done(directory: Path, images: pa.Table) -> None:
    """A cache of 40 images of other code, whose making anew was killed after ten."""
    build(directory, images)
    made_by_other_code(directory)
    writer = CacheWriter(directory / SETTINGS.hash, SETTINGS.size)
    writer.begin_anew()
    with writer.appending() as file:
        os.write(file, b"\1" * 10 * SETTINGS.size**2)
        writer.append(images["sha256"].to_pylist()[:10], np.zeros(10), np.zeros(10, bool))
        writer.save_progress(file)


def test_verifying_leaves_a_killed_builders_work_alone(directory, images) -> None:
    half_done(directory, images)
    assert build(directory, images, how=mend_cache) == (0, 40, 0)
    assert len(ImageCache.open(directory, SETTINGS)) == 40
    assert (directory / SETTINGS.hash / "progress.parquet").exists()


@pytest.mark.parametrize("begun", [slice(0, 10), slice(30, 40)], ids=["in both", "among what readers see"])
def test_forgotten_though_a_builder_was_killed(directory, images, begun) -> None:
    half_done(directory, images)
    gone = images["sha256"].combine_chunks()[begun]
    forget_images(directory, gone)
    opened = ImageCache.open(directory, SETTINGS)
    assert len(opened) == len(opened.images) == 30 and (opened.find(gone) < 0).all()
    names = {path.name for path in (directory / SETTINGS.hash).iterdir()}
    assert "progress.parquet" not in names and len([n for n in names if n.endswith(".u8")]) == 1


def test_forgotten_among_what_nobody_has_seen_yet(directory, images) -> None:
    writer = CacheWriter(directory / SETTINGS.hash, SETTINGS.size)
    (writer.folder / "settings.yaml").write_text(yaml.safe_dump(SETTINGS.model_dump(mode="json")))
    with writer.appending() as file:
        os.write(file, b"".join(bytes([i]) * SETTINGS.size**2 for i in range(10)))
        writer.append(images["sha256"].to_pylist()[:10], np.zeros(10), np.zeros(10, bool))
        writer.save_progress(file)
    forget_images(directory, images["sha256"].combine_chunks()[3:4])
    left = CacheWriter(writer.folder, SETTINGS.size)
    assert left.done.num_rows == 9 and not left.committed
    [pixels] = writer.folder.glob("*.u8")
    assert bytes([3]) * 64 not in pixels.read_bytes()
