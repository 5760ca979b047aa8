"""The phantom on disk: its truth follows from its tables, and its bytes from its parameters."""

import hashlib
import json
from itertools import pairwise

import phantom_oracle as oracle
import pyarrow.parquet as pq
import pytest

from hnp_pipeline.errors import SettingsError
from hnp_pipeline.phantom.export import write_phantom
from hnp_pipeline.vocabulary import LEVELS, VIEWS, Reason

PATIENTS = 44


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    directory = tmp_path_factory.mktemp("phantom")
    assert write_phantom(directory, PATIENTS, 7, "strong", threads=2)
    return directory


@pytest.fixture(scope="module")
def images(phantom):
    return pq.read_table(phantom / "truth/images.parquet").to_pylist()


def facts(directory):
    return json.loads((directory / "truth/phantom.json").read_text())


def judged(directory, **kwargs):
    readings = pq.read_table(directory / "truth/readings.parquet").to_pylist()
    texts = {
        (r["collection"], r["row"]): tuple(r[k] for k in LEVELS) if r[LEVELS[0]] is not None else None
        for r in readings
    }
    return oracle.judge(directory / "raw", lambda c, n: texts[c, n], **kwargs)


def tree(directory):
    return {
        str(p.relative_to(directory)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(directory.rglob("*"))
        if p.is_file()
    }


def expectations(images):
    return {
        r["image_id"]: (r["expected"], tuple(r[k] for k in LEVELS) if r["mri_date"] else None, r["mri_date"])
        for r in images
    }


def test_truth_follows_from_the_tables_by_the_rules(phantom, images):
    assert judged(phantom) == expectations(images)


@pytest.mark.parametrize(("patients", "seed"), [(4, 0), (9, 1), (41, 2)])
def test_truth_follows_at_other_sizes(tmp_path, patients, seed):
    write_phantom(tmp_path, patients, seed, "paper")
    images = pq.read_table(tmp_path / "truth/images.parquet").to_pylist()
    assert judged(tmp_path) == expectations(images)
    kept = {(r["collection"], r["patient_id"]) for r in images if r["expected"] == "cohort"}
    assert len(kept) == patients
    assert {r["expected"] for r in images} == {"cohort", *Reason}


def test_first_collection_fares_the_same_alone(phantom, images):
    alone = judged(phantom, collections=("first",))
    both = {k: v for k, v in expectations(images).items() if k.startswith("first/")}
    assert alone == both


def test_counts_are_those_of_the_rows(phantom, images):
    rows = facts(phantom)["rows"]
    for collection in ("first", "second"):
        found = [r["expected"] for r in images if r["collection"] == collection]
        assert rows[collection] == {k: found.count(k) for k in rows[collection]}
        assert sum(rows[collection].values()) == len(found)
        planted = set(Reason) - ({Reason.IN_DEVELOPMENT} if collection == "first" else set())
        assert set(rows[collection]) == {"cohort", *planted}
    kept = sum(r["cohort"] for r in rows.values())
    assert kept > len(images) / 2
    assert sum(facts(phantom)["cohort_patients"].values()) == PATIENTS


def test_rejected_readings_are_the_unusable_ones(phantom):
    read = pq.read_table(phantom / "truth/readings.parquet").to_pylist()
    for collection in ("first", "second"):
        table = dict(oracle.rows(phantom / f"raw/{collection}/mri_readings.csv"))
        for r in (r for r in read if r["collection"] == collection):
            row = table[r["row"]]
            bad = [k for k in LEVELS if row[k] not in ("", "0", "1")]
            bad += [k for k in ("patient_id",) if not row[k]] + (["mri_date"] if not row["mri_date"] else [])
            assert bad == ([r["rejected"]] if r["rejected"] else [])
    counted = facts(phantom)["rejected_rows"]
    unusable = sum(r["rejected"] is not None for r in read)
    assert sum(v for k, v in counted.items() if "mri_readings" in k) == unusable > 0


def test_a_patient_with_two_visits_has_two_readings_that_differ(phantom):
    visits = pq.read_table(phantom / "truth/visits.parquet").to_pylist()
    later = {v["patient_id"]: v for v in visits if v["visit"] == 2}
    earlier = [v for v in visits if v["visit"] == 1 and v["patient_id"] in later]
    assert earlier
    for v in earlier:
        for k in LEVELS:  # no level heals, so that the patient's label is the later visit's
            assert v[k] <= later[v["patient_id"]][k]
    assert any(v[k] != later[v["patient_id"]][k] for v in earlier for k in LEVELS)


def test_discs_lie_in_the_picture_from_top_to_bottom(images):
    for r in images:
        x, y = [r[f"{k}_x"] for k in LEVELS], [r[f"{k}_y"] for k in LEVELS]
        assert all(10 < v < 278 for v in x)
        assert all(10 < v < 374 for v in y)
        assert y == sorted(y)
        assert all(8 < b - a < 70 for a, b in pairwise(y))
        assert all(r[f"{k}_width"] > r[f"{k}_height"] > 1 for k in LEVELS)
    assert {r["view"] for r in images} == set(VIEWS)


def test_bytes_follow_from_parameters_on_any_number_of_threads(tmp_path):
    for name, threads in (("one", 1), ("three", 3)):
        write_phantom(tmp_path / name, 6, 11, "strong", threads=threads)
    assert tree(tmp_path / "one") == tree(tmp_path / "three")
    write_phantom(tmp_path / "other", 6, 12, "strong")
    assert tree(tmp_path / "one")["raw/first/xrays.csv"] != tree(tmp_path / "other")["raw/first/xrays.csv"]


def test_the_same_phantom_is_kept_and_a_cut_one_made_anew(tmp_path):
    target = tmp_path / "new" / "phantom"
    assert write_phantom(target, 5, 1, "strong")
    whole = tree(target)
    image = next((target / "raw/first/images").iterdir())
    stamp = image.stat().st_mtime_ns
    assert not write_phantom(target, 5, 1, "strong")
    assert image.stat().st_mtime_ns == stamp

    marker = target / "truth/phantom.json"
    (target / "truth/unfinished.json").write_text(marker.read_text())
    marker.unlink()
    image.unlink()
    (target / "raw/first/images/999999.jpg").write_text("left over")
    assert write_phantom(target, 5, 1, "strong")
    assert tree(target) == whole


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SettingsError, match="not empty"):
        write_phantom(tmp_path, 5, 1, "strong")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(SettingsError, match="is a file"):
        write_phantom(tmp_path / "thesis.txt", 5, 1, "strong")
    write_phantom(tmp_path / "made", 4, 1, "strong")
    with pytest.raises(SettingsError, match="another phantom"):
        write_phantom(tmp_path / "made", 4, 2, "strong")


@pytest.mark.parametrize(
    ("patients", "seed", "signal", "word"),
    [(3, 0, "strong", "at least 4"), (8, -1, "strong", "seed"), (8, 0, "loud", "strong, paper")],
)
def test_wrong_parameters_are_named(tmp_path, patients, seed, signal, word):
    with pytest.raises(SettingsError, match=word):
        write_phantom(tmp_path, patients, seed, signal)
    assert list(tmp_path.iterdir()) == []


def test_progress_rises_to_one(tmp_path):
    told = []
    write_phantom(tmp_path, 4, 0, "strong", report=lambda fraction, message: told.append(fraction))
    assert told == sorted(told)
    assert told[-1] == 1
