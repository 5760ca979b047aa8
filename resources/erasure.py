"""What a home keeps of patients who withdrew, beyond the tables that every run writes anew: found and taken out.

And pictures in MLflow, where the study does not want them there.

Old MLflow runs keep predictions by patient, so that runs can be compared; collections that are gone keep their typed
rows and pixels; a task that the study no longer has keeps its folder. Every other file is made again without them.
"""

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

from hnp_pipeline.home import Home
from hnp_pipeline.intake.withdrawn import forgotten, of_withdrawn
from hnp_pipeline.tables import read_table, reading, replacing, write_table

_SHEET = "contact_sheet.jpg"


def forget(home: Home, withdrawn: pa.Table, tasks: Collection[str]) -> int:
    """Take patients who withdrew out of what no step makes again; returns how many files changed.

    Repeated, it finds nothing. Files are replaced whole. What was learnt from these patients stays in the weights of
    models that were trained with them: a development patient who withdraws makes those out of date.

    Args:
        home: the study's.
        withdrawn: a table of `WITHDRAWN`.
        tasks: those of the study; what a task that it no longer has left behind is made by nobody again.
    """
    if not withdrawn.num_rows:
        return 0
    pictures = _pictures(home, withdrawn)
    changed = [p for p in sorted((home.root / "intake").glob("*/*.parquet")) if _blank(p, withdrawn)]
    _forget_pixels(home, pictures)
    gone = {"patient_key": withdrawn["patient_key"].drop_null().combine_chunks(), "sha256": pictures}
    for path in _rows_by_patient(home):
        if _drop(path, gone):
            changed.append(path)
            (path.parent / _SHEET).unlink(missing_ok=True)  # of this MLflow run: it may show the patient
            if path.is_relative_to(home.root / "models") and (task := _task(home, path)) not in tasks:
                shutil.rmtree(home.gradcam(task), ignore_errors=True)
    return len(changed)


def forget_sheets(home: Home) -> int:
    """Remove the contact sheets that MLflow runs hold, from before `report.pictures` was turned off; how many."""
    sheets = sorted((home.mlflow / "artifacts").rglob(_SHEET))
    for sheet in sheets:
        sheet.unlink(missing_ok=True)
    return len(sheets)


def _pictures(home: Home, withdrawn: pa.Table) -> pa.Array:
    """The hashes of their pictures, in any collection."""
    found = [pa.array([], pa.string())]
    for path in sorted((home.root / "intake").glob("*/radiographs.parquet")):
        rows = read_table(path, ["patient_key", "sha256"])
        found += rows.filter(of_withdrawn(rows, withdrawn))["sha256"].drop_null().chunks
    return pa.concat_arrays(found)


def _blank(path: Path, withdrawn: pa.Table) -> bool:
    """Typed rows as intake would write them today; and no name of a file, which are listed by row alone."""
    with reading(path):
        names = pq.read_schema(path).names
    if "patient_key" in names:
        before = read_table(path)
        after = forgotten(before, withdrawn)
    elif path.stem == "names":
        before, rows = read_table(path), read_table(path.with_name("radiographs.parquet"))
        theirs = rows.filter(of_withdrawn(rows, withdrawn))["image_id"].combine_chunks()
        after = before.filter(pc.invert(pc.is_in(before["image_id"], theirs)))
        _blank_files(path.with_name("files.parquet"), after)
    else:
        return False
    if after.equals(before):
        return False
    write_table(after, path)
    return True


def _blank_files(path: Path, named: pa.Table) -> None:
    """What is known of files that some row still names."""
    if path.exists():
        files = read_table(path)
        stays = pc.is_in(files["file"], named["file"].combine_chunks())
        if not pc.all(stays).as_py():
            write_table(files.filter(stays), path)


def _forget_pixels(home: Home, pictures: pa.Array) -> None:
    if len(pictures):
        from hnp_pipeline.imaging.cache import forget_images

        for collection in sorted((home.root / "cache").glob("*/")):
            forget_images(collection, pictures)


def _rows_by_patient(home: Home) -> Iterator[Path]:
    """Tables that may have a row a patient or a picture."""
    yield from sorted((home.root / "models").rglob("*.parquet"))
    yield from sorted((home.root / "parts").glob("perceptual_hashes-*.parquet"))
    yield from sorted((home.mlflow / "artifacts").rglob("*.parquet"))
    yield from sorted((home.mlflow / "artifacts").rglob("gradcam.csv"))


def _drop(path: Path, gone: dict[str, pa.Array]) -> bool:
    as_text = path.suffix == ".csv"
    with reading(path):
        table = csv.read_csv(path) if as_text else None
        names = pq.read_schema(path).names if table is None else table.column_names
    column = next((c for c in gone if c in names), None)
    if column is None:
        return False
    table = read_table(path) if table is None else table
    stays = pc.invert(pc.is_in(table[column].cast(pa.string()), gone[column]))
    if pc.all(stays).as_py() in (True, None):
        return False
    if as_text:
        with replacing(path) as temporary:
            csv.write_csv(table.filter(stays), temporary)
    else:
        write_table(table.filter(stays), path)
    return True


def _task(home: Home, path: Path) -> str:
    return path.relative_to(home.root / "models").parts[0]
