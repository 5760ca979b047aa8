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
    no_surgeries = deliver("none", xrays=XRAYS, surgeries=SURGERIES.splitlines()[0])  # nobody had any
    for collection in (whole, labels, no_surgeries):
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
        ("xrays", XRAYS.splitlines()[0], "has a header and not one row: hand in the export again"),
        ("mri_readings", READINGS.splitlines()[0] + "\n\n,,,\n", "has a header and not one row"),
        ("mri_readings", "\n\n", "is empty; it needs a header"),
        ("xrays", "ward,bed\n1,2\n", "none of the 2 fields of its first row is our column: is it the header"),
        ("surgeries", SURGERIES.replace("site", "site,Site"), "has column site 2 times"),
    ],
)
def test_a_broken_table_stops_the_steps_of_all_tables_with_the_same_words(deliver, table, content, problem):
    files = {"xrays": XRAYS, "mri_readings": READINGS, "surgeries": SURGERIES} | {table: content}
    folder = deliver("broken", **files).folder
    told = set()
    for reads in READERS:
        if reads != table:  # the table's own reader may find it on the way
            with pytest.raises(TableError, match=problem) as error:
                open_delivery(folder, study.Intake(), reads)
            told.add(str(error.value))
        if "not one row" in problem:
            with pytest.raises(TableError, match=problem):
                open_delivery(folder, study.Intake(), table)
    assert len(told) == 1 and table in told.pop()
