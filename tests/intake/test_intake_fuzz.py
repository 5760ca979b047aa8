"""Whatever bytes a table is made of: it is read, or refused with one TableError that tells nothing of what is in it."""

import contextlib
import csv
import io
import random
import zipfile
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hnp_pipeline.errors import TableError
from hnp_pipeline.intake.cells import EXCEL_ERRORS
from hnp_pipeline.intake.collection import Collection
from hnp_pipeline.intake.mri_readings import read_mri_readings
from hnp_pipeline.intake.raw_table import RawTable
from hnp_pipeline.intake.surgeries import read_surgeries
from hnp_pipeline.intake.xrays import read_xrays
from hnp_pipeline.study import Intake

CANARY = "QZJXKVW"  # in no column's name and in no message of ours
COLUMNS = [
    "patient_id",
    "study_date",
    "view",
    "file",
    "age",
    "mri_date",
    "body_part",
    "reading",
    "surgery_date",
    "site",
]
HEADER = ",".join(COLUMNS).encode()
ENCODINGS = st.sampled_from(["utf-8", "cp949", "euc_kr"])
SLOW = settings(deadline=None, suppress_health_check=list(HealthCheck))

pieces = st.sampled_from(
    [b",", b'"', b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"'", b"=cmd|", b" ", CANARY.encode(), b"2020-03-01",
     "요추".encode(), "요추".encode("cp949"), b"1.0", b"99", b"-", HEADER]
) | st.binary(max_size=6)  # fmt: skip
garbage = st.lists(pieces, max_size=30).map(b"".join)


def _refused_or_read(folder: Path, content: bytes, suffix: str = ".csv", encoding: str = "utf-8") -> None:
    for name, read in (
        ("xrays", read_xrays),
        ("mri_readings", read_mri_readings),
        ("surgeries", read_surgeries),
    ):
        path = folder / f"{name}{suffix}"
        path.write_bytes(content)
        try:
            read(Collection("c", folder, encoding=encoding), Intake(), b"k")
        except TableError as error:
            assert str(error).startswith(f"collection c: table {name} ({path.name}) ")
            assert CANARY not in str(error)
            assert len(str(error)) < 2000
        path.unlink()


@given(garbage, ENCODINGS)
@settings(SLOW, max_examples=250)
def test_any_bytes_as_csv(tmp_path_factory, content, encoding):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    with contextlib.suppress(TableError):
        table = RawTable(path, "table t", encoding)
        if table.has("view"):
            return  # the header itself may hold anything
    path.write_bytes(HEADER + b"\n" + content)
    rows: list[int] = []
    try:
        for batch in RawTable(path, "table t", encoding).rows(COLUMNS):
            rows += batch["row"].to_pylist()
    except TableError as error:
        assert CANARY not in str(error)
    assert len(set(rows)) == len(rows)
    assert all(row > 0 for row in rows)


@given(garbage, ENCODINGS)
@settings(SLOW, max_examples=6)
def test_any_bytes_as_tables(tmp_path_factory, content, encoding):
    _refused_or_read(tmp_path_factory.mktemp("any"), HEADER + b"\n" + content, encoding=encoding)


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8) | st.sampled_from(["", " ", '"', ",", "\n\n"])  # fmt: skip


@given(st.lists(st.lists(cells, min_size=len(COLUMNS), max_size=len(COLUMNS)), max_size=8))
@settings(SLOW, max_examples=100)
def test_what_python_writes_is_read_to_the_cell(tmp_path_factory, rows):
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([COLUMNS, *rows])
    path = tmp_path_factory.getbasetemp() / "written.csv"
    path.write_bytes(text.getvalue().encode())
    found = {r["row"]: r["reading"] for b in RawTable(path, "t").rows(["reading"]) for r in b.to_pylist()}
    at = COLUMNS.index("reading")
    for number, row in enumerate(rows, 1):
        if found.get(number) is not None:
            assert found[number] == row[at]
        elif number in found:
            assert not row[at].strip() or row[at].strip() in EXCEL_ERRORS
        else:
            assert all(not cell.strip() or cell.strip() in EXCEL_ERRORS for cell in row)


def _whole(suffix: str) -> bytes:
    rows = [
        [
            f"{CANARY}{i}",
            "2020-03-01",
            "AP",
            f"{CANARY}.jpg",
            40.5,
            "2020-03-01",
            "LUMBAR",
            CANARY,
            None,
            None,
        ]
        for i in range(40)
    ]
    file = io.BytesIO()
    if suffix == ".xlsx":
        book = openpyxl.Workbook()
        for row in [COLUMNS, *rows]:
            book.active.append(row)
        book.save(file)
    else:
        columns = [pa.array(c) for c in zip(*rows, strict=True)]
        pq.write_table(pa.table(columns, COLUMNS), file, compression="none")
    return file.getvalue()


@pytest.mark.parametrize("suffix", [".xlsx", ".parquet"])
def test_flipped_and_cut_files(tmp_path, suffix):
    whole, chance = _whole(suffix), random.Random(2022)
    path = tmp_path / f"t{suffix}"
    for turn in range(90):
        content = bytearray(whole)
        if turn % 3 == 0:
            content = content[: chance.randrange(len(content))]
        else:
            for _ in range(chance.choice([1, 1, 4, 32])):
                content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        try:
            for _ in RawTable(path, "table t").rows(COLUMNS):
                pass
        except TableError as error:
            assert CANARY not in str(error)


@given(st.integers(0, 40), garbage)
@settings(SLOW, max_examples=60)
def test_broken_sheets_inside_a_whole_xlsx(tmp_path_factory, at, content):
    path = tmp_path_factory.getbasetemp() / "t.xlsx"
    with zipfile.ZipFile(io.BytesIO(_XLSX)) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            if name.endswith("sheet1.xml") or at == 40:
                cut = len(part) * at // 40
                part = part[:cut] + content + part[cut:]
            new.writestr(name, part)
    try:
        for _ in RawTable(path, "table t").rows(COLUMNS):
            pass
    except TableError as error:
        assert CANARY not in str(error)


_XLSX = _whole(".xlsx")


@pytest.mark.parametrize(
    "content",
    [
        HEADER + b"\n" + b"x" * 3_000_000,
        HEADER + b"\n" + b'"' + b"x" * 3_000_000 + b'"',
        HEADER + b"\n" + b"," * 3_000_000,
        HEADER + b"\n" + b'"' * 999_999,
        b"x," * 200_000,
        HEADER * 1000,
        HEADER + b"\n" + b"\n" * 1_000_000,
        HEADER + b"\n" + b"=cmd|' /C calc'!A0,=1+1,@SUM(A1),+1,-1\n",
    ],
    ids=[
        "long cell",
        "long quoted cell",
        "commas",
        "quotes",
        "wide header",
        "header repeated",
        "blank rows",
        "formulas",
    ],
)
def test_monsters(tmp_path, content):
    _refused_or_read(tmp_path, content)
    _refused_or_read(tmp_path, content, ".xlsx")
    _refused_or_read(tmp_path, content, ".parquet")
