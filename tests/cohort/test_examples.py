from pathlib import Path

import pyarrow as pa
import pytest
from cohort_reference import DAY, Row, reading, write_sources, xray

from hnp_pipeline import schemas, study
from hnp_pipeline.cohort import examples
from hnp_pipeline.cohort.examples import EXAMPLES, changing_patients, development_examples, examples_hash
from hnp_pipeline.cohort.matching import build_cohort
from hnp_pipeline.vocabulary import HNP, LEVELS

LATER = DAY.replace(year=2016)


@pytest.fixture
def rows() -> tuple[list[Row], list[Row]]:
    xrays = [xray(row=i, patient=f"p{i % 8}", sha256=f"{97 * i % 101:03d}") for i in range(1, 25)]
    xrays.append(xray(row=25, patient="p1", study_date=LATER))
    xrays += [xray("second", i, f"q{i}") for i in (1, 2)]
    readings = [reading(f"p{k}", labels="00010" if k % 2 else "00000") for k in range(8)]
    readings += [reading("p1", mri_date=LATER, labels="00001"), reading("q1"), reading("q2", labels="00000")]
    return xrays, readings


def cohort(folder: Path, xrays: list[Row], readings: list[Row]) -> pa.Table:
    return build_cohort(write_sources(folder, xrays, readings), study.Cohort()).cohort


def test_each_split_in_the_order_of_content(tmp_path: Path, rows: tuple[list[Row], list[Row]]) -> None:
    everything = cohort(tmp_path, *rows)
    development, test = development_examples(everything), examples.test_examples(everything)
    assert (development.num_rows, test.num_rows) == (25, 2)
    for found in (development, test):
        assert found.schema.equals(schemas.schema(EXAMPLES))
        order = found["sha256"].to_pylist()
        assert order == sorted(set(order))
    assert development["fold"].null_count == 0 and test["fold"].null_count == 2
    assert examples.test_examples(everything.slice(0, 0)).num_rows == 0


def test_the_hash_knows_content_not_names(tmp_path: Path, rows: tuple[list[Row], list[Row]]) -> None:
    def hashed(xrays: list[Row], readings: list[Row]) -> str:
        return examples_hash(development_examples(cohort(tmp_path, xrays, readings)))

    xrays, readings = rows
    usual = hashed(xrays, readings)
    renamed = [r | {"row": r["row"] + 100, "image_id": f"{r['collection']}/{r['row'] + 100}"} for r in xrays]
    pseudonyms = [
        [r | {"patient_key": r["patient_key"] + "!"} for r in rows] for rows in (renamed[::-1], readings)
    ]
    assert hashed(*pseudonyms) == usual
    assert hashed(xrays, [*readings[1:], readings[0] | {"l1_2": 1}]) != usual  # a label
    assert hashed([xrays[0] | {"age": 50.5}, *xrays[1:]], readings) != usual
    development = development_examples(cohort(tmp_path, xrays, readings))
    one_patient = pa.array(["p"] * development.num_rows, pa.string())
    merged = development.set_column(2, development.schema.field("patient_key"), one_patient)
    assert examples_hash(merged) != examples_hash(development) == usual  # whose images they are


def test_patients_whose_images_differ(tmp_path: Path, rows: tuple[list[Row], list[Row]]) -> None:
    found = changing_patients(cohort(tmp_path, *rows)).to_pylist()
    assert [(r["split"], r["level"]) for r in found] == [
        (split, level) for split in ("development", "test") for level in (*LEVELS, HNP)
    ]
    changing = {r["level"]: r["changing"] for r in found if r["split"] == "development"}
    assert changing == {"l1_2": 0, "l2_3": 0, "l3_4": 0, "l4_5": 1, "l5_s1": 1, "hnp": 0}
    assert {r["patients"] for r in found if r["split"] == "development"} == {8}
    assert {(r["patients"], r["changing"]) for r in found if r["split"] == "test"} == {(2, 0)}
    assert changing_patients(cohort(tmp_path, [], [])).num_rows == 0
