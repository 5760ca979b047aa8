import datetime

import pytest

from hnp_pipeline.errors import TableError
from hnp_pipeline.intake.mri_readings import MRI_READINGS, read_mri_readings
from hnp_pipeline.intake.xrays import read_xrays
from hnp_pipeline.schemas import REJECTED_ROWS, schema
from hnp_pipeline.study import Intake

LEVELS = "l1_2,l2_3,l3_4,l4_5,l5_s1"


def _read(deliver, key, text: str, **settings) -> tuple[list[dict], list[dict]]:
    rows, rejected = read_mri_readings(deliver(mri_readings=text), Intake(**settings), key)
    assert rows.schema.equals(schema(MRI_READINGS))
    assert rejected.schema.equals(schema(REJECTED_ROWS))
    return rows.to_pylist(), rejected.to_pylist()


def test_a_good_row(deliver, key):
    text = f'patient_id,mri_date,body_part,{LEVELS},reading\n p1,20200301,L-SPINE,0, 1 ,1.0,0.0,,"  L4-5:\n HNP "\n'
    (row,), rejected = _read(deliver, key, text)
    xray = "patient_id,study_date,view,file,age\nP1,2020-03-01,AP,f,40\n"
    assert row.pop("patient_key") == read_xrays(deliver(xrays=xray), Intake(), key)["patient_key"][0].as_py()
    assert row == {
        "bare_key": None, "collection": "first", "row": 1, "mri_date": datetime.date(2020, 3, 1), "lumbar": True,
        "l1_2": 0, "l2_3": 1, "l3_4": 1, "l4_5": 0, "l5_s1": None, "reading": "  L4-5:\n HNP ",
    }  # fmt: skip
    assert rejected == []


LUMBAR = ["L-SPINE", "LSPINE", "LUMBAR", "Lumbar spine", "LS spine", "L/S-spine", "요추", "MRI L-SPINE", "L-SPINE MR (CONTRAST)",
     "Lumbar Spine MRI", "요추 MRI", "요추MRI", "MR_L_SPINE", "SPINE, LUMBAR", "Lumbosacral spine", "요추부", "요천추", "L_SPINE",
     "LUMBO-SACRAL SPINE", "LSSPINE", "LumbarSpine", "Lumber spine", "T-SPINE + L-SPINE", "L.S. SPINE", "Ｌ－ＳＰＩＮＥ"]  # fmt: skip
OTHER = ["C-SPINE", "CSPINE", "T-SPINE", "T-L SPINE", "TL-SPINE", "T/L spine", "C-T-L SPINE", "thoracolumbar", "흉요추", "BRAIN", "경추",
     "L-HIP", "SPINE", "WHOLE SPINE", "", "--", "SACRUM", "L", "ALUMBARX"]  # fmt: skip


def test_body_parts(deliver, key):
    lines = [f'P,2020-03-01,"{part}",x' for part in LUMBAR + OTHER]
    rows, rejected = _read(deliver, key, "patient_id,mri_date,body_part,reading\n" + "\n".join(lines))
    found = {part: row["lumbar"] for part, row in zip(LUMBAR + OTHER, rows, strict=True)}
    assert found == dict.fromkeys(LUMBAR, True) | dict.fromkeys(OTHER, False)
    assert rejected == []


def test_body_parts_come_from_the_settings(deliver, key):
    text = "patient_id,mri_date,body_part,reading\nP,2020-03-01,MR TL-SPINE,x\nP,2020-03-01,L-SPINE,x\n"
    assert [r["lumbar"] for r in _read(deliver, key, text, lumbar_body_parts=("t-l spine",))[0]] == [
        True,
        False,
    ]
    assert [r["lumbar"] for r in _read(deliver, key, text, lumbar_body_parts=())[0]] == [False, False]
    assert [r["lumbar"] for r in _read(deliver, key, text, lumbar_body_parts=("", "-"))[0]] == [False, False]


def test_rows_that_cannot_be_used_are_rejected(deliver, key):
    text = f"patient_id,mri_date,body_part,{LEVELS}\n" + "\n".join(
        [
            "P,2020-03-01,LUMBAR,0,0,0,0,0",
            " ,2020-03-01,LUMBAR,0,0,0,0,0",
            "P,,LUMBAR,0,0,0,0,0",
            "",
            "P,03/04/2020,LUMBAR,0,0,0,0,0",
            "P,2020-03-01,LUMBAR,0,99,0,0,0",
            "P,2020-03-01,LUMBAR,0,0,0,0,yes",
            ",Kim,LUMBAR,0,0,2,0,0",
            "P,2020-03-01,LUMBAR,,,,,",
        ]
    )
    rows, rejected = _read(deliver, key, text)
    assert [r["row"] for r in rows] == [1, 9]
    assert [tuple(r.values()) for r in rejected] == [
        ("first", "mri_readings", 2, "patient_id", "blank"),
        ("first", "mri_readings", 3, "mri_date", "blank"),
        ("first", "mri_readings", 5, "mri_date", "99/99/9999"),
        ("first", "mri_readings", 6, "l2_3", "99"),
        ("first", "mri_readings", 7, "l5_s1", "aaa"),
        ("first", "mri_readings", 8, "patient_id", "blank; mri_date: Aaa; l3_4: 9"),
    ]


def test_columns_that_must_be_there(deliver, key):
    start = "patient_id,mri_date,body_part"
    with pytest.raises(
        TableError, match=r"table mri_readings .* has neither the columns l1_2, .* nor column reading"
    ):
        _read(deliver, key, f"{start}\n")
    with pytest.raises(TableError, match="has no column l5_s1;"):
        _read(deliver, key, f"{start},l1_2,l2_3,l3_4,l4_5\n")
    with pytest.raises(TableError, match="has no column body_part"):
        _read(deliver, key, f"patient_id,mri_date,{LEVELS}\n")
    (row,), _ = _read(deliver, key, f"{start},l4_5,reading\nP,2020-03-01,LUMBAR,1,x\n")
    assert (row["l4_5"], row["l5_s1"], row["reading"]) == (1, None, "x")
    assert _read(deliver, key, f"{start},{LEVELS}\n") == ([], [])


def test_no_table_no_rows(deliver, key):
    rows, rejected = read_mri_readings(deliver(xrays="patient_id\n"), Intake(), key)
    assert (rows.num_rows, rejected.num_rows) == (0, 0)
