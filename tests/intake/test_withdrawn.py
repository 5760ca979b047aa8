import pytest

from hnp_pipeline.errors import TableError
from hnp_pipeline.intake.withdrawn import read_withdrawn
from hnp_pipeline.intake.xrays import read_xrays
from hnp_pipeline.study import Intake

XRAYS = "patient_id,study_date,view,file,age,hospital\n"


def _withdrawn(
    deliver, key, text: str | bytes, rows: list[tuple[str, str]], scope: str, known=()
) -> list[bool]:
    """Which of the rows (id, hospital) are of a patient who withdrew."""
    collection = deliver(xrays=XRAYS + "".join(f"{i},2020-03-01,AP,f,40,{h}\n" for i, h in rows))
    raw = collection.folder.parent
    (raw / "withdrawn.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    settings = Intake(patient_scope=scope)
    keys = set(read_withdrawn(raw, settings, key, known)["patient_key"].to_pylist())
    return [k in keys for k in read_xrays(collection, settings, key)["patient_key"].to_pylist()]


ROWS = [("P1", "Seoul"), ("p1", "Busan"), ("P1", ""), ("P2", "Seoul"), ("01", "Seoul")]


@pytest.mark.parametrize(
    ("text", "study", "hospital"),
    [
        ("patient_id\n p1 \n", [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]),
        ("patient_id,hospital\nP1,seoul\n", [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]),
        ("patient_id,hospital\nP1,Daegu\nP2,\n", [1, 1, 1, 1, 0], [0, 0, 0, 1, 0]),
        ("patient_id\n1\n\n", [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]),
        ("patient_id,hospital\n", [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]),
    ],
)
def test_withdrawn(deliver, key, text, study, hospital):
    assert _withdrawn(deliver, key, text, ROWS, "study") == [bool(x) for x in study]
    assert _withdrawn(deliver, key, text, ROWS, "hospital") == [bool(x) for x in hospital]


def test_cp949_and_hospitals_of_collections_that_are_gone(deliver, key):
    rows = [("P1", "서울"), ("P1", "부산")]
    text = "patient_id,hospital\nP1,서울\n".encode("cp949")
    assert _withdrawn(deliver, key, text, rows, "hospital") == [True, False]
    raw = deliver(xrays=XRAYS).folder.parent
    (raw / "withdrawn.csv").write_text("patient_id\nP1\n")
    scope = Intake(patient_scope="hospital")
    assert read_withdrawn(raw, scope, key).num_rows == 1
    assert read_withdrawn(raw, scope, key, ["Seoul", "Busan", None]).num_rows == 3


def test_no_table_and_broken_tables(deliver, key):
    raw = deliver(xrays=XRAYS).folder.parent
    assert read_withdrawn(raw, Intake(), key).num_rows == 0
    (raw / "withdrawn.csv").write_text("patient,hospital\nP1,Seoul\n")
    with pytest.raises(
        TableError,
        match=r"table withdrawn \(withdrawn.csv\) has no column patient_id; columns found: patient",
    ):
        read_withdrawn(raw, Intake(), key)
    (raw / "withdrawn.csv").write_text("patient_id,hospital\nP1,\n,Seoul\n")
    with pytest.raises(TableError, match="row 2 names no patient_id"):
        read_withdrawn(raw, Intake(), key)
