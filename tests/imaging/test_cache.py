"""The cache: complete or absent, only new images computed, removed pixels gone, killed at any moment."""

import fcntl
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from imaging_pictures import encoded, radiograph

from hnp_pipeline.errors import StepError
from hnp_pipeline.imaging import cache
from hnp_pipeline.imaging.cache import (
    ImageCache,
    ImageStore,
    build_cache,
    forget_images,
    mend_cache,
)
from hnp_pipeline.imaging.clahe import prepare
from hnp_pipeline.imaging.decoding import read_gray
from hnp_pipeline.imaging.inspection import inspect_files
from hnp_pipeline.imaging.store import SHEET
from hnp_pipeline.imaging.writer import CacheWriter
from hnp_pipeline.study import Imaging

SETTINGS = Imaging(size=64)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> pa.Table:
    """40 images: sha256, path."""
    folder = tmp_path_factory.mktemp("films")
    names = [f"{i}.jpg" for i in range(40)]
    for i, name in enumerate(names):
        (folder / name).write_bytes(encoded(radiograph(300, 200, i)))
    table = inspect_files(folder, pa.array(names), None, 10**8, 2)
    return pa.table({"sha256": table["sha256"], "path": [str(folder / name) for name in names]})


@pytest.fixture
def directory(tmp_path) -> Path:
    return tmp_path / "cache" / "first"


def build(
    directory: Path, images: pa.Table, settings: Imaging = SETTINGS, how=build_cache
) -> tuple[int, int, int]:
    summary = how(directory, images, settings, 2)
    return summary.new, summary.kept, summary.dropped


def holds(directory: Path, images: pa.Table, settings: Imaging = SETTINGS) -> bool:
    """Whether the cache has just these images, every pixel right."""
    opened = ImageCache.open(directory, settings)
    rows = opened.position(images["sha256"])
    wanted = (prepare(read_gray(Path(path)), settings) for path in images["path"].to_pylist())
    right = (np.array_equal(opened.images[row], pixels) for row, pixels in zip(rows, wanted, strict=True))
    return len(opened) == len(images) == len(opened.images) and all(right)


def files(directory: Path, settings: Imaging = SETTINGS) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (directory / settings.hash).iterdir()}


def test_only_new_images_are_computed(directory, images) -> None:
    assert build(directory, images.slice(0, 30)) == (30, 0, 0)
    assert holds(directory, images.slice(0, 30))
    before = files(directory)
    assert build(directory, images.slice(0, 30)) == (0, 30, 0)
    assert files(directory) == before
    assert build(directory, images) == (10, 30, 0)
    assert holds(directory, images)
    after = files(directory)
    assert set(after) == {"images.u8", "index.parquet", "settings.yaml", "sheet.jpg"}
    assert after["images.u8"].startswith(before["images.u8"])


def test_order_and_repetition_of_the_list_change_nothing(tmp_path, images) -> None:
    build(tmp_path / "a", images)
    build(tmp_path / "b", pa.concat_tables([images.take(list(range(39, -1, -1))), images]))
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_summary(directory, images, tmp_path) -> None:
    path = tmp_path / "white.png"
    path.write_bytes(encoded(255 - radiograph(300, 200, 99), "PNG"))
    sha256 = inspect_files(tmp_path, pa.array(["white.png"]), None, 10**8, 1)["sha256"]
    both = pa.concat_tables([images, pa.table({"sha256": sha256, "path": [str(path)]})])
    settings, told = Imaging(size=64, turn_inverted=True), []
    first = build_cache(
        directory, both, settings, 2, lambda fraction, message: told.append((fraction, message))
    )
    assert (first.new, first.inverted) == (41, 1)
    assert min(first.read_seconds, first.decode_seconds, first.clahe_seconds, first.write_seconds) > 0
    assert told[-1] == (1.0, "41 of 41 images cached")
    again = build_cache(directory, both, settings, 2)
    assert (again.new, again.kept, again.inverted, again.decode_seconds) == (0, 41, 1, 0)


def test_removed_images_leave_every_file(directory, images) -> None:
    other = Imaging(size=32)
    build(directory, images, other)
    build(directory, images)
    reader = ImageCache.open(directory, SETTINGS)
    gone = reader.images[reader.position(images["sha256"][:3])]
    gone_other = prepare(read_gray(Path(images["path"][0].as_py())), other).tobytes()
    kept = images.slice(3)
    assert build(directory, kept) == (0, 37, 3)
    assert holds(directory, kept)
    assert holds(directory, kept, other)
    everything = b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())
    assert not any(image.tobytes() in everything for image in gone)
    assert gone_other not in everything
    assert np.array_equal(
        reader.images[reader.position(images["sha256"][:3])], gone
    )  # a reader keeps what it opened
    assert build(directory, images) == (3, 37, 0)
    assert holds(directory, images)
    assert build(directory, images.slice(0, 0)) == (0, 0, 40)
    assert len(ImageCache.open(directory, SETTINGS)) == 0


def test_a_sheet_shows_ten_and_none_that_went(directory, images) -> None:
    build(directory, images)
    sheet = directory / SETTINGS.hash / SHEET
    assert sheet.stat().st_mode & 0o077 == 0
    shown, cache = (
        cv2.imread(str(sheet), cv2.IMREAD_GRAYSCALE).astype(int),
        ImageCache.open(directory, SETTINGS),
    )
    assert shown.shape == (2 * 64, 5 * 64)
    for place, picture in ((shown[:64, :64], 0), (shown[-64:, -64:], 39)):
        assert np.abs(place - cache.images[picture]).mean() < 5  # JPEG
    forget_images(directory, images["sha256"][:1])
    assert not sheet.exists()
    build(directory, images.slice(0, 3))
    shown = cv2.imread(str(sheet), cv2.IMREAD_GRAYSCALE)
    assert shown[:64, 128:192].std() > 5 and shown[:, 192:].max() < 5  # three, and black
    build(directory, images.slice(0, 0))
    assert not sheet.exists()


def test_an_absent_cache_is_said_so(directory, images) -> None:
    with pytest.raises(StepError, match="collection first has no image cache"):
        ImageCache.open(directory, SETTINGS)
    build(directory, images)
    with pytest.raises(StepError, match="no image cache with these settings"):
        ImageCache.open(directory, Imaging(size=65))


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "no index", "bad index", "foreign index"])
def test_damage_is_seen_and_mended(directory, images, damage: str) -> None:
    build(directory, images)
    pixels, index = directory / SETTINGS.hash / "images.u8", directory / SETTINGS.hash / "index.parquet"
    if damage in ("cut", "empty"):
        os.truncate(pixels, 12 * 64 * 64 + 5 if damage == "cut" else 0)
    elif damage == "gone":
        pixels.unlink()
    elif damage == "no index":
        index.unlink()
    else:
        index.write_bytes(b"PAR1nonsensePAR1" if damage == "bad index" else b"\x80\x04cos\nsystem\n")
    with pytest.raises(StepError, match=r"damaged|no image cache"):
        ImageCache.open(directory, SETTINGS)
    build(directory, images)
    assert holds(directory, images)


def test_mending_finds_changed_pixels_and_drops_nothing(directory, images) -> None:
    build(directory, images)
    with (directory / SETTINGS.hash / "images.u8").open("r+b") as file:
        file.seek(7 * 64 * 64 + 99)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    assert build(directory, images) == (0, 40, 0)
    assert not holds(directory, images)
    with pytest.raises(StepError, match="no longer names the pictures of 1"):
        build(directory, images.slice(0, 0), how=mend_cache)
    seventh = sorted(images["sha256"].to_pylist())[7]
    one = images.filter(pc.equal(images["sha256"], seventh))
    assert build(directory, one, how=mend_cache) == (1, 39, 1)
    assert holds(directory, images)  # what was not named is there as well
    assert build(directory, images, how=mend_cache) == (0, 40, 0)


def test_a_file_that_changed_since_stops_the_build(directory, images, tmp_path) -> None:
    build(directory, images.slice(0, 10))
    changed = tmp_path / "CANARY.jpg"
    changed.write_bytes(b"another")
    paths = [*images["path"].to_pylist()[:-1], str(changed)]
    for path in (changed, tmp_path / "CANARY.gone", tmp_path):
        paths[-1] = str(path)
        with pytest.raises(StepError, match="cannot be cached") as caught:
            build(directory, pa.table({"sha256": images["sha256"], "path": paths}))
        assert "CANARY" not in str(caught.value)
    assert len(ImageCache.open(directory, SETTINGS)) == 10
    build(directory, images.slice(0, 10))
    assert holds(directory, images.slice(0, 10))


def test_a_file_that_nothing_says_has_changed_is_not_hashed_again(directory, tmp_path) -> None:
    """As intake takes it: by size and time of change. `hnp cache --verify` finds what they hide."""
    path = tmp_path / "a.jpg"
    data, other = (encoded(radiograph(300, 200, i)).ljust(50_000, b"\0") for i in range(2))
    path.write_bytes(data)
    found = inspect_files(tmp_path, pa.array(["a.jpg"]), None, 10**8, 1)
    listed = found.select(["sha256", "size", "mtime_ns"]).append_column("path", pa.array([str(path)]))
    path.write_bytes(other)
    with pytest.raises(StepError, match="changed since it was inspected"):
        build(directory, listed)
    os.utime(path, ns=(0, found["mtime_ns"][0].as_py()))
    assert build(directory, listed) == (1, 0, 0)
    path.write_bytes(data)  # touched, with the content that it had
    assert build(directory, listed, SETTINGS.model_copy(update={"clahe_clip_limit": 3.0})) == (1, 0, 0)


def test_a_full_disk_leaves_the_earlier_cache(directory, images) -> None:
    build(directory, images.slice(0, 10))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (15 * 64 * 64 + 100, hard))
    try:
        with pytest.raises(StepError, match="make room"):
            build(directory, images)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(ImageCache.open(directory, SETTINGS)) == 10
    build(directory, images)
    assert holds(directory, images)


def test_too_little_room_is_said_before_any_work(directory, images, monkeypatch) -> None:
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _path: type("", (), {"free": 1000}))
    with pytest.raises(StepError, match="make room"):
        build(directory, images)


def test_files_are_private(directory, images) -> None:
    build(directory, images)
    build(directory, images.slice(1))
    assert {path.stat().st_mode & 0o777 for path in directory.rglob("*") if path.is_file()} == {0o600}
    assert (directory / SETTINGS.hash).stat().st_mode & 0o777 == 0o700


def test_two_builders_queue(directory, images) -> None:
    directory.mkdir(parents=True)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told: list[str] = []
        thread = threading.Thread(
            target=build_cache, args=(directory, images, SETTINGS, 2, lambda _, message: told.append(message))
        )
        thread.start()
        for _ in range(500):
            if told:
                break
            time.sleep(0.01)
        assert told == ["waiting: another process is building this image cache"]
        assert not (directory / SETTINGS.hash).exists()
    thread.join()
    assert holds(directory, images)


KILLED = """
import sys
import pyarrow.parquet as pq
from pathlib import Path
from hnp_pipeline.imaging import cache
from hnp_pipeline.study import Imaging
cache._SECONDS_BETWEEN_SYNCS = 0
print("ready", flush=True)
cache.build_cache(Path(sys.argv[1]), pq.read_table(sys.argv[2]), Imaging(size=64), 2)
"""


def test_killed_at_any_moment(tmp_path) -> None:
    """1,200 small images; old and new sets; what readers see is one or the other, and the end is the same."""
    folder = tmp_path / "films"
    folder.mkdir()
    names = [f"{i}.png" for i in range(1200)]
    rng = np.random.default_rng(3)
    for name in names:
        (folder / name).write_bytes(encoded(rng.integers(0, 255, (30, 30), np.uint8), "PNG"))
    table = inspect_files(folder, pa.array(names), None, 10**8, 2)
    every = pa.table({"sha256": table["sha256"], "path": [str(folder / name) for name in names]})
    old, new = every.slice(0, 300), every.slice(50)

    directory, quiet = tmp_path / "killed", tmp_path / "quiet"
    for place in (directory, quiet):
        build(place, old)
    pa.parquet.write_table(new, tmp_path / "list.parquet")
    build(quiet, new)

    kills = 0
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(directory), str(tmp_path / "list.parquet")],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(float(rng.uniform(0, 0.12)))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
        seen = ImageCache.open(directory, SETTINGS)
        assert len(seen) in (len(old), len(new))
        assert (seen.find((old if len(seen) == len(old) else new)["sha256"]) >= 0).all()
    assert kills
    build(directory, new)
    assert files(directory) == files(quiet)


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
