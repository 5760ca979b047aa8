import datetime

import pytest

from hnp_pipeline.errors import TableError
from hnp_pipeline.intake.surgeries import has_surgeries, read_surgeries
from hnp_pipeline.schemas import INTAKE_SURGERIES, schema
from hnp_pipeline.study import Intake


def test_surgeries(deliver, key):
    collection = deliver(
        surgeries="patient_id,surgery_date,site\n"
        "P,2020-03-01,lumbar_disc\n"
        "P,2020/03/02, Lumbar Disc \n"
        "P,2020-03-03,cervical_disc\n"
        ",2020-03-04,lumbar_disc\n"
        "P,03/04/2020,lumbar_disc\n"
        "P,,lumbar_disc\n"
        "P,2020-03-07,\n"
        ",,Kim\n"
    )
    rows, rejected = read_surgeries(collection, Intake(), key)
    assert rows.schema.equals(schema(INTAKE_SURGERIES))
    found = rows.select(["row", "surgery_date", "lumbar_disc"]).to_pylist()
    assert [tuple(r.values()) for r in found] == [
        (1, datetime.date(2020, 3, 1), True),
        (2, datetime.date(2020, 3, 2), True),
        (3, datetime.date(2020, 3, 3), False),
        (5, None, True),  # counts as lying between
        (6, None, True),
        (7, datetime.date(2020, 3, 7), False),
    ]
    assert len(set(rows["patient_key"].to_pylist())) == 1
    assert [tuple(r.values()) for r in rejected.to_pylist()] == [
        ("first", "surgeries", 4, "patient_id", "blank"),
        ("first", "surgeries", 5, "surgery_date", "99/99/9999"),
        ("first", "surgeries", 6, "surgery_date", "blank"),
        ("first", "surgeries", 8, "patient_id", "blank; surgery_date: blank"),
    ]
    rows, _ = read_surgeries(collection, Intake(lumbar_disc_sites=("Cervical-disc",)), key)
    assert rows["lumbar_disc"].to_pylist() == [False, False, True, False, False, False]


def test_the_table_may_be_absent(deliver, key):
    collection = deliver(xrays="patient_id\n")
    assert not has_surgeries(collection)
    assert [t.num_rows for t in read_surgeries(collection, Intake(), key)] == [0, 0]
    collection = deliver(surgeries="patient_id,surgery_date,site\n")
    assert has_surgeries(collection)
    assert [t.num_rows for t in read_surgeries(collection, Intake(), key)] == [0, 0]
    with pytest.raises(TableError, match=r"table surgeries .* has no column site"):
        read_surgeries(deliver(surgeries="patient_id,surgery_date\n"), Intake(), key)
