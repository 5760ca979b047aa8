import os
from pathlib import Path

import pytest

from hnp_pipeline.errors import SettingsError, TableError
from hnp_pipeline.intake.collection import find_collections, fingerprint, open_collection


def _raw(tmp_path: Path, *files: str) -> Path:
    for file in files:
        path = tmp_path / "raw" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("patient_id\n")
    return tmp_path / "raw"


def test_collections_are_the_folders_with_a_table_by_name(tmp_path):
    raw = _raw(
        tmp_path,
        "b/xrays.csv",
        "a/Mri_Readings.XLSX",
        "c/surgeries.parquet",
        "d/notes.csv",
        ".e/xrays.csv",
        "f/xrays.txt",
    )
    (raw / "g" / "xrays.csv").mkdir(parents=True)  # a folder is no table
    os.mkfifo(raw / "d" / "xrays.csv")  # nor is a pipe
    (raw / "a" / "_SUCCESS").touch()
    found = find_collections(raw)
    assert [(c.name, c.complete) for c in found] == [("a", True), ("b", False), ("c", False)]
    assert found[0].table("mri_readings") == raw / "a" / "Mri_Readings.XLSX"
    assert found[0].table("xrays") is None


def test_no_collection_is_a_settings_error(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        find_collections(tmp_path / "nowhere")
    _raw(tmp_path, "a/notes.csv")
    with pytest.raises(SettingsError, match="holds no collection"):
        find_collections(tmp_path / "raw")
    with pytest.raises(SettingsError, match="cannot be read"):
        find_collections(tmp_path / "raw" / "a" / "notes.csv")


def test_collection_toml_is_read(tmp_path):
    raw = _raw(tmp_path, "a/xrays.csv")
    (raw / "a" / "collection.toml").write_text(
        '\ufeffrole = "test"\nencoding = "EUC-KR"\n'
        '[columns]\npatient_id = "환자번호"\n[views]\n"L-SPINE LAT" = "lat"\n',
        encoding="utf-8",
    )
    (found,) = find_collections(raw)
    assert (found.role, found.encoding) == ("test", "euc_kr")
    assert found.columns == {"patient_id": "환자번호"}
    assert found.views == {"L-SPINE LAT": "LAT"}
    assert found == open_collection(raw / "a")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rolle = 'test'", "rolle is not a key"),
        ("role = 'training'", "role"),
        ("encoding = 'latin-1'", "utf-8, cp949 or euc-kr"),
        ("encoding = 'nonsense'", "utf-8, cp949 or euc-kr"),
        ("encoding = 5", "encoding"),
        ("[columns]\npatientid = 'x'", "patientid"),
        ("[columns]\npatient_id = 5", "columns.patient_id"),
        ("[views]\n'L' = 'LATERAL'", "LATERAL is none of AP"),
        ("role = ", "is not TOML"),
        (b"role = '\xff'", "is not UTF-8"),
        ("a = " + "[" * 5000, "is not"),
    ],
)
def test_a_bad_collection_toml_stops_only_its_own_collection(tmp_path, text, told):
    raw = _raw(tmp_path, "a/xrays.csv", "b/xrays.csv")
    (raw / "a" / "collection.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(TableError, match=r"collection a, collection\.toml") as error:
        open_collection(raw / "a")
    assert told in str(error.value)
    a, b = find_collections(raw)
    assert a.problem == str(error.value)
    assert b.problem is None
    assert b.table("xrays") is not None
    with pytest.raises(TableError, match=r"collection\.toml"):
        a.table("xrays")


def test_two_forms_of_a_table_are_refused(tmp_path):
    raw = _raw(tmp_path, "a/xrays.csv", "a/xrays.parquet")
    with pytest.raises(TableError, match=r"collection a: table xrays.*xrays\.csv, xrays\.parquet"):
        open_collection(raw / "a").table("xrays")


def test_links(tmp_path):
    raw = _raw(tmp_path, "a/xrays.csv", "b/surgeries.csv")
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "xrays.csv").write_text("patient_id\n")
    (raw / "linked").symlink_to(outside)  # whoever chose raw put it there
    (raw / "b" / "xrays.csv").symlink_to(outside / "xrays.csv")  # came with a delivery
    found = {c.name: c for c in find_collections(raw)}
    assert found["linked"].table("xrays") is not None
    with pytest.raises(TableError, match="link out of the folder"):
        found["b"].table("xrays")


def test_fingerprint_changes_with_what_was_delivered(tmp_path):
    folder = _raw(tmp_path, "a/xrays.csv", "a/images/1.jpg") / "a"
    seen = [fingerprint(folder)]
    assert fingerprint(folder) == seen[0]
    (folder / "_SUCCESS").touch()
    assert fingerprint(folder) == seen[0]

    def changed() -> bool:
        seen.append(fingerprint(folder))
        return len(set(seen)) == len(seen)

    (folder / "images" / "2.jpg").touch()
    assert changed()
    (folder / "images" / "2.jpg").rename(folder / "images" / "3.jpg")
    assert changed()
    (folder / "images" / "1.jpg").write_text("more than before")
    assert changed()
    os.utime(folder / "xrays.csv", ns=(1, 1))
    assert changed()
    (folder / "collection.toml").touch()
    assert changed()
    (folder / "images" / "loop").symlink_to(folder)  # neither entered nor followed for ever
    (folder / "images" / "nowhere").symlink_to(folder / "missing")
    (folder / "images" / "\udcff.jpg").touch()  # a name that is not UTF-8
    assert changed()


def test_a_folder_whose_name_is_no_text_is_told(tmp_path):
    raw = _raw(tmp_path, "a/xrays.csv", "b/xrays.csv")
    (raw / "b").rename(raw / os.fsdecode("한글".encode("cp949")))
    with pytest.raises(SettingsError, match="name is not UTF-8"):
        find_collections(raw)
