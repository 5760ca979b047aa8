"""What is to be cached: each content once, and nothing of who withdrew."""

from pathlib import Path

import pyarrow as pa

from hnp_pipeline import schemas
from hnp_pipeline.home import Home
from hnp_pipeline.imaging.pictures import usable_pictures
from hnp_pipeline.tables import write_table


def test_each_content_once_and_none_of_who_withdrew(tmp_path: Path) -> None:
    home, folder = Home(tmp_path / "home"), tmp_path / "raw" / "first"
    ids = [f"first/{i}" for i in range(1, 7)]
    rows = {
        "image_id": ids,
        "patient_key": ["a", "a", "b", "gone", "c", "c"],
        "sha256": [
            "2" * 64,
            "1" * 64,
            "2" * 64,
            "3" * 64,
            "3" * 64,
            None,
        ],  # 3: under two patients; 6: unreadable
    }
    names = ["b.jpg", "x.jpg", "a.jpg", "y.jpg", "z.jpg", "bad.jpg"]
    files = {"file": names, "size": [10, 11, 12, 13, 14, 15], "mtime_ns": [1, 2, 3, 4, 5, 6]}
    write_table(pa.table(rows), home.intake("first", "radiographs"))
    write_table(pa.table({"image_id": ids, "file": names}), home.intake("first", "names"))
    write_table(pa.table(files), home.intake("first", "files"))
    gone = pa.table({"patient_key": ["gone"]})
    assert usable_pictures(home, folder, gone).select(["sha256", "path", "size", "mtime_ns"]).to_pylist() == [
        {"sha256": "1" * 64, "path": f"{folder}/x.jpg", "size": 11, "mtime_ns": 2},
        {"sha256": "2" * 64, "path": f"{folder}/a.jpg", "size": 12, "mtime_ns": 3},
    ]
    everybody = usable_pictures(home, folder, schemas.empty(schemas.WITHDRAWN))
    assert everybody["path"].to_pylist()[2:] == [f"{folder}/y.jpg"]
