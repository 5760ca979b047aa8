"""One table that cannot be used stops its collection, whichever step reads it."""

import pytest

from hnp_pipeline import study
from hnp_pipeline.errors import TableError
from hnp_pipeline.intake.delivery import open_delivery

XRAYS = "patient_id,study_date,view,file,age\nP1,2020-01-01,AP,a.jpg,50\n"
READINGS = "patient_id,mri_date,body_part,reading\nP1,2020-01-01,L-SPINE,HNP L4-5\n"
SURGERIES = "patient_id,surgery_date,site\nP1,2020-01-01,lumbar_disc\n"
READERS = ("xrays", "mri_readings", "surgeries")


@pytest.mark.parametrize("reads", READERS)
def test_a_sound_delivery_opens_also_without_some_tables(deliver, reads):
    whole = deliver("whole", xrays=XRAYS, mri_readings=READINGS, surgeries=SURGERIES)
    labels = deliver("labels", mri_readings=READINGS)
    for collection in (whole, labels):
        assert open_delivery(collection.folder, study.Intake(), reads).name == collection.name


@pytest.mark.parametrize(
    ("table", "content", "problem"),
    [
        ("mri_readings", READINGS.replace("mri_date", "day"), "has no column mri_date"),
        ("surgeries", SURGERIES.replace("site", "where"), "has no column site"),
        ("xrays", XRAYS.replace("age", "years"), "has neither column birth_date nor age"),
        (
            "mri_readings",
            (READINGS * 500 + "P2,2020-01-01,요추,HNP L4-5\n").encode("cp949"),
            "is not in utf-8",
        ),
        ("surgeries", SURGERIES + 'P2,2020-01-02,"lumbar', "quotation mark"),
    ],
)
def test_a_broken_table_stops_the_steps_of_all_tables_with_the_same_words(deliver, table, content, problem):
    files = {"xrays": XRAYS, "mri_readings": READINGS, "surgeries": SURGERIES} | {table: content}
    folder = deliver("broken", **files).folder
    told = set()
    for reads in READERS:
        if reads != table:  # the table's own reader finds it on the way
            with pytest.raises(TableError, match=problem) as error:
                open_delivery(folder, study.Intake(), reads)
            told.add(str(error.value))
    assert len(told) == 1 and table in told.pop()
