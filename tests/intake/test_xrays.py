import datetime

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hnp_pipeline.errors import TableError
from hnp_pipeline.intake.collection import open_collection
from hnp_pipeline.intake.xrays import XRAYS, read_xrays, with_images, write_xrays
from hnp_pipeline.schemas import INTAKE_RADIOGRAPHS, schema
from hnp_pipeline.study import Intake

HEADER = "patient_id,study_date,view,file,birth_date,age,sex,hospital\n"


def _read(deliver, key, *rows: str, toml: str = "", name: str = "first", **settings) -> list[dict]:
    collection = deliver(name, xrays=HEADER + "\n".join(rows) + "\n", toml=toml)
    table = read_xrays(collection, Intake(**settings), key)
    assert table.schema.equals(schema(XRAYS))
    return table.to_pylist()


def test_a_good_row(deliver, key):
    (row,) = _read(deliver, key, r" p001 , 2020-03-01 , lat , images\sub\1.jpg ,1980-03-01,99,m, Seoul <b>")
    keys = {name: row.pop(name) for name in ("patient_key", "patient_digest", "birth_digest")}
    assert len(set(keys.values())) == 3
    assert all(len(k) == 32 and set(k) <= set("0123456789abcdef") for k in keys.values())
    assert row == {
        "bare_key": None, "image_id": "first/1", "collection": "first", "row": 1, "hospital": "Seoul <b>", "view": "LAT", "view_found": None,
        "study_date": datetime.date(2020, 3, 1), "age": 40.0, "under_age": False, "sex": "M", "missing": None,
        "file": "images/sub/1.jpg",
    }  # fmt: skip


MISSING = [
    (" ,2020-03-01,AP,f,,40,,", "patient_id: blank"),
    ("P,,AP,f,,40,,", "study_date: blank"),
    ("P,2020-13-45,AP,f,,40,,", "study_date: 9999-99-99 is not a date"),
    ("P,03/04/2020,AP,f,,40,,", "study_date: 99/99/9999 is not a date"),
    ("P,2020-03-01, ,f,,40,,", "view: blank"),
    ("P,2020-03-01,AP, ,,40,,", "file: blank"),
    ("P,2020-03-01,AP,f,,,,", "age: blank"),
    ("P,2020-03-01,AP,f,Kim,,,", "birth_date: Aaa is not a date; age: blank"),
    ("P,2020-03-01,AP,f,,Kim,,", "age: Aaa is not an age from 0 to 120"),
    ("P,2020-03-01,AP,f,,121,,", "age: 999 is not an age from 0 to 120"),
    ("P,2020-03-01,AP,f,,120.01,,", "age: 999.99 is not an age from 0 to 120"),
    ("P,2020-03-01,AP,f,,-1,,", "age: -9 is not an age from 0 to 120"),
    ("P,2020-03-01,AP,f,,1e1,,", "age: 9a9 is not an age from 0 to 120"),
    ("P,2020-03-01,AP,f,2020-03-02,40,,", "birth_date: after study_date"),
    ("P,2020-03-01,AP,f,1900-02-28,40,,", "birth_date: more than 120 years before study_date"),
    ("P,2020-03-01,AP,f,Kim,x,,", "birth_date: Aaa is not a date; age: a is not an age from 0 to 120"),
    (",,,,,,,Seoul", "patient_id: blank; study_date: blank; view: blank; file: blank; age: blank"),
    ("P,2020-03-01,AP,f,Kim,40,,", None),  # the age can be read
    ("P,2020-03-01,AP,f,1900-03-01,,,", None),  # 120 to the day
    ("P,2020-03-01,AP,f,2020-03-01,,,", None),
    ("P,2020-03-01,XX,f,,0,,", None),  # an unknown view is not a missing one
]


def test_missing_says_what_was_found_by_shape(deliver, key):
    rows = _read(deliver, key, *(row for row, _ in MISSING))
    for found, (row, missing) in zip(rows, MISSING, strict=True):
        assert found["missing"] == missing, row
        age_is_known = missing is None or ("age" not in missing and "birth_date" not in missing)
        assert (found["age"] is not None) == age_is_known, row


def test_the_18th_birthday_itself_is_adult(deliver, key):
    cases = [
        ("2002-03-01", "2020-02-29", True),
        ("2002-03-01", "2020-03-01", False),
        ("2004-02-29", "2022-02-28", True),
        ("2004-02-29", "2022-03-01", False),  # 1 March where the year has no 29 February
        ("2002-02-28", "2020-02-28", False),
    ]
    lines = [f"P,{today},AP,f,{born},50,," for born, today, _ in cases]
    rows = _read(deliver, key, *lines)
    assert [r["under_age"] for r in rows] == [under_age for *_, under_age in cases]
    assert all((r["age"] < 18) == r["under_age"] for r in rows)  # also rounded
    assert {r["missing"] for r in rows} == {None}
    assert not any(r["under_age"] for r in _read(deliver, key, *lines, minimum_age=0))


def test_age_without_birth_date(deliver, key):
    rows = _read(
        deliver,
        key,
        *(f"P,2020-03-01,AP,f,,{age},," for age in ("17.999", "18", "018Y", "215M", "45.5", "006M")),
    )
    assert [(r["age"], r["under_age"]) for r in rows] == [
        (17.99, True), (18.0, False), (18.0, False), (17.92, True), (45.5, False), (0.5, True)
    ]  # fmt: skip
    assert {r["birth_digest"] for r in rows} == {None}


def test_age_from_a_birth_date_does_not_give_it_away(deliver, key):
    days = [f"1980-05-{d:02}" for d in range(10, 14)]
    rows = _read(deliver, key, *(f"P{d},2020-03-01,AP,f,{d},,," for d in days))
    assert [r["age"] for r in rows] == [39.81, 39.81, 39.8, 39.8]
    assert len({r["birth_digest"] for r in rows}) == 4


def test_birth_digests_compare_dates_not_spellings(deliver, key):
    a, b, c = _read(
        deliver,
        key,
        "P,2020-03-01,AP,f,1980-03-01,,,",
        "Q,2020-03-01,AP,f,19800301,,,",
        "R,2020-03-01,AP,f,1980-03-02,,,",
    )
    assert a["birth_digest"] == b["birth_digest"] != c["birth_digest"]


def test_ids_are_text(deliver, key):
    ids = ["00123", "123", "123.0", "a1", " A1 ", "Ａ１"]
    keys = [r["patient_key"] for r in _read(deliver, key, *(f"{i},2020-03-01,AP,f,,40,," for i in ids))]
    assert len(set(keys[:4])) == 4
    assert keys[3] == keys[4] == keys[5]
    other = _read(deliver, b"another key", "00123,2020-03-01,AP,f,,40,,")[0]
    mine = _read(deliver, key, "00123,2020-03-01,AP,f,,40,,")[0]
    assert other["patient_key"] != mine["patient_key"]
    assert other["patient_digest"] == mine["patient_digest"]  # independent of the key


def test_patient_scope(deliver, key):
    rows = [
        "P,2020-03-01,AP,f,,40,,Seoul",
        "P,2020-03-01,AP,f,,40,,SEOUL ",
        "P,2020-03-01,AP,f,,40,,Busan",
        "P,2020-03-01,AP,f,,40,,",
    ]
    study = [r["patient_key"] for r in _read(deliver, key, *rows)]
    hospital = [r["patient_key"] for r in _read(deliver, key, *rows, patient_scope="hospital")]
    assert len(set(study)) == 1
    assert hospital[0] == hospital[1]
    assert len(set(hospital)) == 3
    # the same in another collection
    assert [
        r["patient_key"] for r in _read(deliver, key, *rows, name="second", patient_scope="hospital")
    ] == hospital


def test_under_scope_hospital_the_tables_must_agree_on_the_column(deliver, key):
    collection = deliver(
        xrays="patient_id,study_date,view,file,age\nP,2020-03-01,AP,f,40\n", surgeries="hospital\n"
    )
    assert read_xrays(collection, Intake(), key).num_rows == 1
    with pytest.raises(TableError, match=r"table xrays .*no column hospital, while table surgeries has one"):
        read_xrays(collection, Intake(patient_scope="hospital"), key)


def test_views_after_mapping(deliver, key):
    toml = '[views]\n"L-SPINE LAT" = "LAT"\n"측면" = "LAT"\nAP = "FLEX"\n'
    views = ["ap", " Lo ", "l-spine  lat", "측면", "LATERAL", "Kim 1", "Ext"]
    rows = _read(deliver, key, *(f"P,2020-03-01,{v},f,,40,," for v in views), toml=toml)
    assert [r["view"] for r in rows] == ["FLEX", "LO", "LAT", "LAT", None, None, "EXT"]
    assert [r["view_found"] for r in rows] == [None, None, None, None, "AAAAAAA", "Aaa 9", None]
    with pytest.raises(TableError, match="twice"):
        _read(deliver, key, toml='[views]\nx = "LAT"\nX = "AP"\n')


def test_rows_are_numbered_as_delivered(deliver, key):
    good = "P,2020-03-01,AP,f,,40,,"
    rows = _read(deliver, key, good, "", ",,,,,,,", "P,2020-03-01,AP,f,,40", good, "")
    assert [r["image_id"] for r in rows] == ["first/1", "first/4", "first/5"]
    assert [r["missing"] for r in rows] == [None, None, None]


def test_column_mapping_and_missing_columns(deliver, key):
    toml = 'encoding = "cp949"\n[columns]\npatient_id = "환자번호"\nage = "나이"\n'
    text = "환자번호,study_date,view,file,나이\nP,2020-03-01,AP,f,40\n"
    assert read_xrays(deliver(xrays=text.encode("cp949"), toml=toml), Intake(), key)["age"].to_pylist() == [
        40.0
    ]
    with pytest.raises(
        TableError,
        match=r"collection first: table xrays \(xrays.csv\) has no column view, file; columns found: ",
    ):
        read_xrays(deliver(xrays="patient_id,study_date,age\n", toml=""), Intake(), key)
    with pytest.raises(TableError, match="has neither column birth_date nor age; columns found: patient_id"):
        read_xrays(deliver(xrays="patient_id,study_date,view,file\n"), Intake(), key)


def test_no_table_no_rows(deliver, key):
    collection = deliver(surgeries="patient_id\n")
    assert read_xrays(collection, Intake(), key).equals(schema(XRAYS).empty_table())
    collection = deliver(xrays=HEADER)
    assert read_xrays(collection, Intake(), key).equals(schema(XRAYS).empty_table())


def test_xlsx_and_parquet_say_the_same_as_csv(deliver, key, tmp_path):
    columns = {
        "patient_id": ["00123", "7"],
        "study_date": [datetime.date(2020, 3, 1), datetime.date(2020, 3, 2)],
        "view": ["AP", "lat"],
        "file": ["1.jpg", "2.jpg"],
        "birth_date": [datetime.date(1980, 3, 1), None],
        "age": [None, 45.5],
    }
    table = pa.table(columns)
    csv = ["00123,2020-03-01,AP,1.jpg,1980-03-01,,,", "7,2020-03-02,lat,2.jpg,,45.5,,"]
    expected = _read(deliver, key, *csv)
    folder = tmp_path / "raw" / "first"
    (folder / "xrays.csv").unlink()
    pq.write_table(table, folder / "xrays.parquet")
    assert read_xrays(open_collection(folder), Intake(), key).to_pylist() == expected
    (folder / "xrays.parquet").unlink()
    book = openpyxl.Workbook()
    book.active.append(list(columns))
    for row in table.to_pylist():
        book.active.append([7 if v == "7" else v for v in row.values()])
    book.save(folder / "xrays.xlsx")
    assert read_xrays(open_collection(folder), Intake(), key).to_pylist() == expected


def test_streaming_gives_the_same_table(deliver, key, tmp_path):
    rows = [
        f"P{i % 500},2020-03-01,AP,{i}.jpg,19800{1 + i % 9}01,,M," + ("x" * 600 if i % 50 else "")
        for i in range(60_000)
    ]
    collection = deliver(
        xrays=HEADER + "\n".join([*rows[:100], "P,2020-03-01,AP", *rows[101:], "P,2020-03-01,AP"]) + "\n"
    )
    whole = read_xrays(collection, Intake(), key)
    write_xrays(collection, Intake(), key, tmp_path / "xrays.parquet")
    assert whole["row"].to_pylist() == list(range(1, 60_002))
    assert collection.table("xrays").stat().st_size > 32 << 20  # several blocks
    assert pq.read_table(tmp_path / "xrays.parquet").equals(whole)  # the short row too is in its place
    broken = deliver(xrays=HEADER + '"')
    with pytest.raises(TableError):
        write_xrays(broken, Intake(), key, tmp_path / "xrays.parquet")
    assert pq.read_table(tmp_path / "xrays.parquet").num_rows == whole.num_rows


def test_with_images(deliver, key):
    row = "P,2020-03-01,AP,{},,40,,"
    collection = deliver(xrays=HEADER + "\n".join(row.format(f) for f in ("b.jpg", "a.jpg", "", "b.jpg")))
    inspected = pa.table(
        {
            "file": ["a.jpg", "b.jpg", "unused.jpg"],
            "sha256": ["aa", None, "cc"],
            "width": pa.array([640, None, 1], pa.int32()),
            "height": pa.array([480, None, 1], pa.int32()),
            "unreadable": [None, "truncated", None],
            "size": [1, 2, 3],
        }
    )
    found = with_images(read_xrays(collection, Intake(), key), inspected)
    assert found.schema.equals(schema(INTAKE_RADIOGRAPHS))
    rows = found.select(["row", "sha256", "width", "height", "unreadable"]).to_pylist()
    assert [tuple(r.values()) for r in rows] == [
        (1, None, None, None, "truncated"), (2, "aa", 640, 480, None), (3, None, None, None, None), (4, None, None, None, "truncated")
    ]  # fmt: skip
    assert found["missing"].to_pylist() == [None, None, "file: blank", None]
