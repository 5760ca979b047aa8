"""What no time of change can show: pictures and cached pixels read again, every byte (`hnp cache --verify`)."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hnp_pipeline import schemas
from hnp_pipeline.home import Home
from hnp_pipeline.imaging.cache import mend_cache
from hnp_pipeline.imaging.inspection import inspect_files
from hnp_pipeline.imaging.pictures import usable_pictures
from hnp_pipeline.progress import Report, silent
from hnp_pipeline.study import Study
from hnp_pipeline.tables import read_table


@dataclass(frozen=True)
class Verified:
    """A collection.

    Attributes:
        pictures: files that were read.
        changed: x-ray rows (`<collection>/<row>`) whose picture is another than the study knows, though its size
            and time of change are the same; what changed for all to see, the next run takes in by itself.
        cached: images in the cache of today's settings.
        mended: of these, images whose pixels were damaged and were made anew.
    """

    pictures: int
    changed: list[str]
    cached: int
    mended: int


def verify_collection(
    folder: Path, home: Home, study: Study, threads: int, report: Report = silent
) -> Verified:
    """Read a collection's pictures and its cached pixels again, against their hashes; mend the cache.

    Args:
        folder: the collection's raw export; its name is the collection's.
        home: where its tables and its cache are.
        study: the settings of both.
        threads: pictures read side by side.
        report: told how many are done.

    Raises:
        StepError: the folder has vanished, a disk fails, or a damaged image's picture is no longer what it was.
    """
    name = folder.name
    known = read_table(home.intake(name, "files"))
    names = read_table(home.intake(name, "names"))
    found = inspect_files(folder, known["file"], None, study.intake.maximum_pixels, threads, report)
    unseen = _unseen(known, found)
    changed = names.filter(pc.is_in(names["file"], unseen))["image_id"].to_pylist()
    pictures = usable_pictures(home, folder, schemas.empty(schemas.WITHDRAWN))
    # without size and time of change: what is made anew is hashed
    cache = mend_cache(home.cache(name), pictures.select(["sha256", "path"]), study.imaging, threads)
    changed.sort(key=lambda row: int(row.rsplit("/", 1)[1]))
    return Verified(found.num_rows, changed, cache.new + cache.kept, cache.new)


def _unseen(known: pa.Table, found: pa.Table) -> pa.Array:
    """Files with another content under the same size and time of change."""
    both = known.join(found, "file", right_suffix="_now")
    same = pc.and_(pc.equal(both["size"], both["size_now"]), pc.equal(both["mtime_ns"], both["mtime_ns_now"]))
    was, now = (pc.fill_null(both[column], "") for column in ("sha256", "sha256_now"))
    return both.filter(pc.and_(same, pc.not_equal(was, now)))["file"].combine_chunks()
