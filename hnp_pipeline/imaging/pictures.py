"""Which pictures of a collection go into its cache, and where they lie."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hnp_pipeline.home import Home
from hnp_pipeline.intake.withdrawn import of_withdrawn
from hnp_pipeline.tables import read_table

_FILE = ["file", "size", "mtime_ns"]


def usable_pictures(home: Home, folder: Path, withdrawn: pa.Table) -> pa.Table:
    """Columns sha256, path, size and mtime_ns, by sha256: each content once, as intake last saw its file.

    Not those of patients who withdrew, under whatever patient they lie.

    Args:
        home: where the collection's tables are.
        folder: the collection's raw export; its name is the collection's.
        withdrawn: a table of `WITHDRAWN`.
    """
    rows = read_table(home.intake(folder.name, "radiographs"), ["image_id", "patient_key", "sha256"])
    names = read_table(home.intake(folder.name, "names"), ["image_id", "file"])
    files = read_table(home.intake(folder.name, "files"), _FILE)
    theirs = rows.filter(of_withdrawn(rows, withdrawn))["sha256"].combine_chunks()
    usable = pc.and_(pc.is_valid(rows["sha256"]), pc.invert(pc.is_in(rows["sha256"], theirs)))
    named = rows.filter(usable).select(["image_id", "sha256"]).join(names, "image_id").join(files, "file")
    # the same picture can be delivered under several names
    ordered = named.sort_by([("sha256", "ascending"), ("file", "ascending")])
    first = ordered.group_by("sha256", use_threads=False).aggregate([(column, "first") for column in _FILE])
    once = first.rename_columns(["sha256", *_FILE]).sort_by("sha256")
    paths = pc.binary_join_element_wise(pa.scalar(str(folder)), once["file"], "/")
    return once.drop_columns("file").append_column("path", paths)
