"""`hnp readings`: a table of texts in any of three forms."""

from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hnp_pipeline.errors import SettingsError, TableError
from hnp_pipeline.readings.table import label_table
from hnp_pipeline.study import Readings
from hnp_pipeline.vocabulary import LEVELS

SETTINGS = Readings()
TEXTS = ["HNP L4-5,\nleft", "L5-S1 추간판 탈출", ""]


def check(table: pa.Table, first: str = "id") -> None:
    assert table.column_names == [first, *LEVELS, "uncertain", "evidence"]
    assert table[first].to_pylist()[:2] == ["007", "8"]
    assert table["l4_5"].to_pylist()[:2] == [1, 0]
    assert table["l5_s1"].to_pylist()[:2] == [0, 1]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_csv(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'id,reading\n007,"{TEXTS[0]}"\n8,{TEXTS[1]}\n9,\n,\n', encoding=encoding)
    table = label_table(path, None, SETTINGS)
    check(table)
    assert table.num_rows == 3  # the blank row is none
    assert table["l1_2"].to_pylist() == [0, 0, None]


def test_xlsx(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    for row in (["id", " Report "], ["007", TEXTS[0]], [8, TEXTS[1]], [None, None]):
        book.active.append(row)
    book.save(path)
    check(label_table(path, "report", SETTINGS))


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["007", "8", "9"], "reading": TEXTS, "l4_5": [0, 0, 0]}), path)
    check(label_table(path, "reading", SETTINGS))


def test_what_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text\n1,HNP L4-5\n")
    with pytest.raises(TableError, match=r"no column reading .*columns found: id, text"):
        label_table(path, None, SETTINGS)
    with pytest.raises(SettingsError, match="no file"):
        label_table(tmp_path / "b.csv", None, SETTINGS)
    (tmp_path / "c.txt").write_text("x")
    with pytest.raises(SettingsError, match=r"only \.csv"):
        label_table(tmp_path / "c.txt", None, SETTINGS)
    (tmp_path / "d.xlsx").write_text("x")
    with pytest.raises(TableError, match=r"d\.xlsx cannot be read"):
        label_table(tmp_path / "d.xlsx", None, SETTINGS)


def test_an_error_of_excels_is_no_report(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,reading\n1,#N/A\n2,#REF!\n")
    assert label_table(path, None, SETTINGS)["l4_5"].to_pylist() == [None, None]


def test_a_header_alone_is_a_table_of_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,reading\n")
    table = label_table(tmp_path / "a.csv", None, SETTINGS)
    assert table.num_rows == 0 and table.column_names[:2] == ["id", "l1_2"]


def test_a_column_of_lists_is_shown(tmp_path: Path) -> None:
    pq.write_table(pa.table({"words": [["a", "b"], None], "reading": TEXTS[:2]}), tmp_path / "a.parquet")
    table = label_table(tmp_path / "a.parquet", None, SETTINGS)
    assert table["words"].to_pylist() == ["['a', 'b']", None]
    assert table["l4_5"].to_pylist() == [1, 0]
