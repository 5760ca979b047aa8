"""The cache: complete or absent, only new images computed, removed pixels gone, killed at any moment."""

import fcntl
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from imaging_caches import SETTINGS, build, holds
from imaging_pictures import encoded, radiograph

from hnp_pipeline.errors import StepError
from hnp_pipeline.imaging import cache
from hnp_pipeline.imaging.cache import (
    ImageCache,
    build_cache,
    forget_images,
    mend_cache,
)
from hnp_pipeline.imaging.clahe import prepare
from hnp_pipeline.imaging.decoding import read_gray
from hnp_pipeline.imaging.inspection import inspect_files
from hnp_pipeline.imaging.store import SHEET
from hnp_pipeline.study import Imaging


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
