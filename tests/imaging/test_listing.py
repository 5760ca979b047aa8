"""The caches on a disk, told and removed."""

from pathlib import Path

import pyarrow as pa
from imaging_pictures import encoded, radiograph

from hnp_pipeline.imaging.cache import build_cache, remove_old_caches
from hnp_pipeline.imaging.inspection import inspect_files
from hnp_pipeline.imaging.listing import list_caches
from hnp_pipeline.study import Imaging

NOW, BEFORE = Imaging(size=64), Imaging(size=32)


def listed(folder: Path, count: int) -> pa.Table:
    folder.mkdir()
    names = [f"{i}.jpg" for i in range(count)]
    for i, name in enumerate(names):
        (folder / name).write_bytes(encoded(radiograph(100, 80, i)))
    found = inspect_files(folder, pa.array(names), None, 10**8, 1)
    return found.select(["sha256"]).append_column("path", pa.array([str(folder / n) for n in names]))


def test_listing_and_removing(tmp_path: Path) -> None:
    images, root = listed(tmp_path / "films", 6), tmp_path / "cache"
    assert list_caches(root) == []
    build_cache(root / "first", images, BEFORE, 1)
    build_cache(root / "second", images.slice(0, 5), NOW, 1)
    build_cache(root / "first", images, NOW, 1)
    found = list_caches(root)
    assert {(c.collection, c.hash, c.images, c.settings.size) for c in found if c.settings} == {
        ("first", BEFORE.hash, 6, 32),
        ("first", NOW.hash, 6, 64),
        ("second", NOW.hash, 5, 64),
    }
    assert all(c.settings and c.bytes > c.images * c.settings.size**2 for c in found)
    before = (root / "first" / NOW.hash / "images.u8").read_bytes()
    assert [c.hash for c in remove_old_caches(root, NOW.hash)] == [BEFORE.hash]
    assert [(c.collection, c.hash) for c in list_caches(root)] == [("first", NOW.hash), ("second", NOW.hash)]
    assert (root / "first" / NOW.hash / "images.u8").read_bytes() == before


def test_what_is_gone_by_the_time_of_looking_has_no_size(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    build_cache(root / "first", listed(tmp_path / "films", 2), NOW, 1)
    [before] = list_caches(root)
    (before.folder / ".index.parquet.1.tmp").symlink_to(tmp_path / "gone")
    assert list_caches(root) == [before]
