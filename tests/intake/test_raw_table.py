import datetime
import decimal
from pathlib import Path

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hnp_pipeline.errors import TableError
from hnp_pipeline.intake.raw_table import RawTable


def _rows(path: Path, *columns: str, encoding: str = "utf-8", names=None) -> list[tuple]:
    table = RawTable(path, "collection c: table t", encoding, names)
    rows = [row for batch in table.rows(columns) for row in batch.to_pylist()]
    return sorted((r["row"], *(r[c] for c in columns)) for r in rows)


def _csv(
    tmp_path: Path, content: str | bytes, *columns: str, encoding: str = "utf-8", names=None
) -> list[tuple]:
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return _rows(path, *columns, encoding=encoding, names=names)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "euc_kr"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_csv_in_every_encoding(tmp_path, encoding, newline):
    text = newline.join(["patient_id,view,reading", 'P1,"가,나","두 줄 요추"', "00123, LAT ,똑딱", ""])
    found = _csv(
        tmp_path,
        text.encode(encoding),
        "patient_id",
        "view",
        "reading",
        encoding=encoding.removesuffix("-sig"),
    )
    assert found == [(1, "P1", "가,나", "두 줄 요추"), (2, "00123", "LAT", "똑딱")]


def test_cp949_beyond_euc_kr(tmp_path):
    assert _csv(tmp_path, "view,age\n똠방각하,1\n", "view", encoding="cp949") == [(1, "똠방각하")]
    with pytest.raises(TableError, match=r"is not in euc_kr: byte 10 \(line 2\).*encoding = \"cp949\""):
        _csv(tmp_path, "view,age\n똠방각하,1\n".encode("cp949"), "view", encoding="euc_kr")


@pytest.mark.parametrize("rows", [10, 300_000])
def test_a_wrong_encoding_is_told_with_its_place(tmp_path, rows):
    content = b"patient_id,note\n" + b"P1,x\n" * rows + "P2,가\n".encode("cp949")
    with pytest.raises(TableError) as error:
        _csv(tmp_path, content, "patient_id")  # the bad byte stands in a column that nobody asked for
    byte = len(content) - 2
    assert f"collection c: table t (t.csv) is not in utf-8: byte {byte} (line {rows + 2})" in str(error.value)
    assert 'encoding = "cp949"' in str(error.value)


@pytest.mark.parametrize("text", ["patient_id\n요추\n", "\ufeffpatient_id\nP1\n", "patient_id\n환자\n"])
def test_utf_8_declared_as_cp949_is_refused(tmp_path, text):
    with pytest.raises(TableError, match="not in cp949"):
        _csv(tmp_path, text.encode(), "patient_id", encoding="cp949")


def test_utf_16_and_nul_bytes_are_refused(tmp_path):
    with pytest.raises(TableError, match="UTF-16"):
        _csv(tmp_path, "patient_id\nP1\n".encode("utf-16"), "patient_id")
    with pytest.raises(TableError, match=r"NUL byte \(byte 2, line 1\)"):
        _csv(tmp_path, "patient_id\nP1\n".encode("utf-16-le"), "patient_id")
    with pytest.raises(TableError, match=r"NUL byte \(byte 14, line 2\)"):
        _csv(tmp_path, b"patient_id\nP1\0\n", "patient_id", encoding="cp949")


def test_blank_rows_are_numbered_and_left_out(tmp_path):
    text = "\n \t,\npatient_id,view,note\nP1,AP,\n\n,,\n  ,\t,\u00a0\n,,note\nP2,AP,\n\n\n"
    assert _csv(tmp_path, text, "patient_id", "view") == [(1, "P1", "AP"), (5, None, None), (6, "P2", "AP")]


def test_rows_of_other_lengths(tmp_path):
    assert _csv(tmp_path, "a,patient_id,view\n1,P1\n2,P2,AP,,\n3,P3,LAT\n4\n", "patient_id", "view") == [
        (1, "P1", None),
        (2, "P2", "AP"),
        (3, "P3", "LAT"),
        (4, None, None),
    ]
    with pytest.raises(TableError, match="row 2 has 4 fields where the header has 2") as error:
        _csv(tmp_path, "patient_id,view\nP1,AP\nP2,AP,KIM,\nP3,AP\n", "patient_id", "view")
    assert "KIM" not in str(error.value)


def test_numbers_hold_over_many_blocks_and_ragged_rows(tmp_path):
    n = 600_000  # some 46 MB: two blocks
    lines = [f"P{i},{'x' * 60}{i}" if i % 7 else ("" if i % 2 else f"P{i}") for i in range(1, n + 1)]
    found = _csv(tmp_path, "patient_id,view\n" + "\n".join(lines), "patient_id")
    expected = [(i, f"P{i}") for i in range(1, n + 1) if i % 7 or i % 2 == 0]
    assert found == expected


def test_quotes(tmp_path):
    text = 'patient_id,reading\n"P""1","a\n\n b, c"\nP2,5" disc\n"P3","x"y\n'
    assert _csv(tmp_path, text, "patient_id", "reading") == [
        (1, 'P"1', "a\n\n b, c"),
        (2, "P2", '5" disc'),
        (3, "P3", "xy"),
    ]


@pytest.mark.parametrize("tail", ["", "\n"])
@pytest.mark.parametrize("line", ['P1,"KIM', '"P1,KIM', 'P1,"', 'P1,KIM,"'])
def test_an_open_quote_is_refused_wherever_it_opens(tmp_path, line, tail):
    text = "patient_id,view\nP0,AP\n" + line + "\nP2,AP\nP3,AP" + tail
    with pytest.raises(TableError, match="quotation mark") as error:
        _csv(tmp_path, text, "patient_id")
    assert "KIM" not in str(error.value)
    with pytest.raises(TableError, match="quotation mark"):
        _csv(tmp_path, text + "\nP4,AP" * 6_000_000, "patient_id")


def test_one_column_and_zero_rows(tmp_path):
    assert _csv(tmp_path, "patient_id\nP1\n\nP2", "patient_id") == [(1, "P1"), (3, "P2")]
    assert _csv(tmp_path, "patient_id,view", "patient_id") == []
    for empty in ("", "\n", " \n\n,,,\n", "\ufeff"):
        with pytest.raises(TableError, match="empty"):
            _csv(tmp_path, empty, "patient_id")


def test_a_cell_of_a_million_characters(tmp_path):
    long = "가" * 1_000_000
    assert _csv(tmp_path, f'patient_id,reading\nP1,"{long}"\nP2,{long}', "patient_id", "reading") == [
        (1, "P1", long),
        (2, "P2", long),
    ]


def test_headers_match_without_case_spaces_and_with_the_mapping(tmp_path):
    text = " Patient_ID ,VIEW,환자번호,ten,more,columns,,\nours,AP,theirs,1,2,3,,\n"
    assert _csv(tmp_path, text, "patient_id", "view") == [(1, "ours", "AP")]
    assert _csv(tmp_path, text, "patient_id", "view", names={"patient_id": "환자번호 "}) == [
        (1, "theirs", "AP")
    ]
    # the mapping holds "in whichever table they stand": where theirs is not there, ours serves
    assert _csv(tmp_path, text, "patient_id", names={"patient_id": "PID"}) == [(1, "ours")]


def test_duplicate_and_missing_columns_are_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("patient_id,Patient_Id,view,note,note\n1,2,AP,,\n")
    table = RawTable(path, "collection c: table xrays", names={"file": "경로"})
    with pytest.raises(
        TableError,
        match=r"table xrays \(t.csv\) has column patient_id 2 times; columns found: patient_id, Pat",
    ):
        table.has("patient_id")
    with pytest.raises(
        TableError,
        match=r"no column file \(경로 in collection.toml\), study_date; columns found: patient_id,",
    ):
        table.require(["view", "file", "study_date"])


def test_a_table_without_header_does_not_show_its_first_patient(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("00123,19800102,KIM\n00124,19800103,LEE\n")
    with pytest.raises(TableError, match="none of the 3 fields of its first row is our column") as error:
        RawTable(path, "collection c: table xrays").require(["patient_id"])
    assert not any(value in str(error.value) for value in ("00123", "1980", "KIM"))


@pytest.mark.parametrize(
    ("header", "shown", "hidden"),
    [
        ("patient_id,0012345,KIM", "patient_id and 2 more", "KIM"),  # a sheet that lies on its side
        ("patient_id,Hong Gildong", "patient_id and 1 more", "Hong"),
        ("patient_id,view,file,1943-11-17", "patient_id, view, file and 1 more", "1943"),
        ("patient_id,view,file,Studien Datum", "patient_id, view, file, Studien Datum", "more"),
        ("patient_id,vieew", "patient_id, vieew", "more"),
    ],
)
def test_names_of_columns_are_shown_and_what_may_be_a_patients_is_not(tmp_path, header, shown, hidden):
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\n")
    with pytest.raises(TableError) as error:
        RawTable(path, "table xrays").require(["study_date"])
    assert str(error.value).endswith(f"columns found: {shown}") and hidden not in str(error.value)


def _xlsx(path: Path, *rows: list, sheet=None) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    if sheet:
        sheet(book)
    book.save(path)
    return path


def test_xlsx(tmp_path):
    def add(book):
        book.active["B2"].number_format = "yyyy-mm-dd"
        book.create_sheet("hidden").sheet_state = "hidden"
        for _ in range(3):
            book.active.append([None, " ", ""])
        book.active.cell(40, 1).number_format = "0.0"  # a formatted cell far below

    path = _xlsx(
        tmp_path / "t.xlsx",
        ["Patient_ID ", "study_date", "reading", "age", None],
        [123, datetime.date(2020, 3, 1), "=cmd|' /C calc'!A0", 45.5],
        ["00123", datetime.datetime(2020, 3, 1, 10, 20), "=A1+1", 45.0],
        [None, None, None, None],
        [True, "2020.03.01", "  indented", 1e20, None, "beside the header"],
        sheet=add,
    )
    assert _rows(path, "patient_id", "study_date", "reading", "age") == [
        (1, "123", "2020-03-01", "=cmd|' /C calc'!A0", "45.5"),
        (2, "00123", "2020-03-01 10:20:00", "=A1+1", "45"),
        (4, "1", "2020.03.01", "  indented", "1e+20"),
    ]


def test_xlsx_reads_the_first_visible_sheet_and_blank_rows_before_the_header(tmp_path):
    def add(book):
        book.active.sheet_state = "hidden"
        second = book.create_sheet("data")
        second.append([])
        second.append(["patient_id"])
        second.cell(5, 1).value = "P1"

    assert _rows(_xlsx(tmp_path / "t.xlsx", ["patient_id"], ["hidden"], sheet=add), "patient_id") == [
        (3, "P1")
    ]


def test_broken_xlsx_and_parquet(tmp_path):
    whole = _xlsx(tmp_path / "t.xlsx", ["patient_id"], ["KIM"]).read_bytes()
    pq.write_table(pa.table({"patient_id": ["KIM"] * 100}), tmp_path / "t.parquet")
    parquet = (tmp_path / "t.parquet").read_bytes()
    for path, content in ((tmp_path / "t.xlsx", whole), (tmp_path / "t.parquet", parquet)):
        for broken in (b"", b"patient_id\nKIM\n", content[: len(content) // 2], content[:-30]):
            path.write_bytes(broken)
            with pytest.raises(TableError, match=f"{path.name}") as error:
                _rows(path, "patient_id")
            assert "KIM" not in str(error.value)
    _xlsx(tmp_path / "t.xlsx")
    with pytest.raises(TableError, match="is empty"):
        _rows(tmp_path / "t.xlsx", "patient_id")


def test_xlsx_with_a_row_number_beyond_excel_ends(tmp_path):
    import zipfile

    path = _xlsx(tmp_path / "t.xlsx", ["patient_id"], ["P1"])
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = parts[sheet].replace(b'r="2"', b'r="4000000000"').replace(b'r="A2"', b'r="A4000000000"')
    with zipfile.ZipFile(path, "w") as new:
        for name, content in parts.items():
            new.writestr(name, content)
    with pytest.raises(TableError, match="Excel's limit"):
        _rows(path, "patient_id")


def test_parquet_of_any_type(tmp_path):
    day, time = datetime.date(2020, 3, 1), datetime.datetime(2020, 3, 1, 0, 30)
    zoned = pa.array(
        [datetime.datetime(2020, 2, 29, 15, 30, tzinfo=datetime.UTC)] * 2, pa.timestamp("us", "Asia/Seoul")
    )
    columns = {
        "int": (pa.array([123, None]), "123"),
        "float": (pa.array([123.0, np.nan]), "123"),
        "fraction": (pa.array([45.1, None], pa.float32()), "45.1"),
        "decimal": (pa.array([decimal.Decimal("1.00"), None]), "1"),
        "flag": (pa.array([True, None]), "1"),
        "day": (pa.array([day, None]), "2020-03-01"),
        "time": (pa.array([time, None]), "2020-03-01 00:30:00.000000"),
        "seoul": (pa.array([zoned[0], None], zoned.type), "2020-03-01 00:30:00.000000"),
        "text": (pa.array(["00123 ", " "]), "00123"),
        "large": (pa.array(["00123", ""], pa.large_string()), "00123"),
        "view": (pa.array(["00123", None], pa.string_view()), "00123"),
        "category": (pa.array(["00123", None]).dictionary_encode(), "00123"),
        "binary": (pa.array([b"00123", None]), "00123"),
        "none": (pa.nulls(2), None),
    }
    path = tmp_path / "t.parquet"
    for name, (values, expected) in columns.items():
        pq.write_table(pa.table({"PATIENT_ID": values, "list": [[1], None], "blob": [b"\xff", None]}), path)
        assert _rows(path, "patient_id") == [(1, expected)], name
    pq.write_table(pa.table({"patient_id": [[1], [2]]}), path)
    with pytest.raises(TableError, match="column patient_id is list"):
        _rows(path, "patient_id")
    pq.write_table(pa.table({"patient_id": [b"\xffKIM"]}), path)
    with pytest.raises(TableError, match="column patient_id is binary"):
        _rows(path, "patient_id")


@pytest.mark.parametrize("suffix", ["xlsx", "parquet"])
def test_headers_that_are_none_or_twice_there_and_no_rows(tmp_path, suffix):
    def made(*rows: list[str | None]) -> RawTable:
        path = tmp_path / f"t.{suffix}"
        if suffix == "xlsx":
            _xlsx(path, *rows)
        else:
            columns = [pa.array(c, pa.string()) for c in zip(*rows[1:], strict=True)]
            pq.write_table(
                pa.table(columns or [pa.array([], pa.string()) for _ in rows[0]], names=rows[0]), path
            )
        return RawTable(path, "table t")

    with pytest.raises(
        TableError, match=r"has column patient_id 2 times; columns found: patient_id, Patient_ID"
    ):
        made(["patient_id", "Patient_ID"], ["1", "2"]).require(["patient_id"])
    with pytest.raises(
        TableError, match=r"has no column patient_id; none of (its 2 columns is|the 2 fields of) "
    ):
        made(["KIM", "1950-01-01"], ["LEE", "1951-01-01"]).require(["patient_id"])
    for rows in ([], [[None, None], ["", " "]]):
        table = made(["patient_id", "view"], *rows)
        assert sum(batch.num_rows for batch in table.rows(["patient_id"])) == 0


def test_parquet_with_text_that_is_not_utf_8(tmp_path):
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xffKIM"]).buffers())
    pq.write_table(pa.table({"patient_id": bad}), tmp_path / "t.parquet")
    with pytest.raises(TableError, match="table t") as error:
        _rows(tmp_path / "t.parquet", "patient_id")
    assert "KIM" not in str(error.value)


def test_full_width_and_composed_letters_are_one_spelling(tmp_path):
    assert _csv(
        tmp_path, "patient_id,hospital,file\nＰ１２, Ｈ , Ａ.jpg \n", "patient_id", "hospital", "file"
    ) == [(1, "P12", "Ｈ", "Ａ.jpg")]


def test_no_permission_and_vanished_files_are_told(tmp_path):
    with pytest.raises(TableError, match="cannot be read: No such file"):
        RawTable(tmp_path / "gone.csv", "table t")


def test_nul_characters_inside_a_parquet_cell_are_only_a_character(tmp_path):
    pq.write_table(pa.table({"patient_id": ["P\x001", "P\x002"]}), tmp_path / "t.parquet")
    assert _rows(tmp_path / "t.parquet", "patient_id") == [(1, "P\x001"), (2, "P\x002")]


def test_an_error_of_excels_is_no_value_where_any_text_would_be_one(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["patient_id", "reading", "l1_2"])
    book.active.append(["#N/A", " #REF!", "#VALUE!"])
    book.active.append(["#12", "N/A", 1])
    book.save(tmp_path / "t.xlsx")
    found = _rows(tmp_path / "t.xlsx", "patient_id", "reading", "l1_2")
    assert found == [(1, None, None, "#VALUE!"), (2, "#12", "N/A", "1")]
    assert _csv(tmp_path, "patient_id,file\n#NAME?,#N/A\n", "patient_id", "file") == [(1, None, None)]
