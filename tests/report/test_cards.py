import re
from pathlib import Path

import pyarrow.compute as pc
import pytest
from report_tables import FACTS, write_empty, write_tables

from hnp_pipeline import tables
from hnp_pipeline.report.cards import opening, write_cards
from hnp_pipeline.report.markdown import table, text
from hnp_pipeline.report.small_counts import hidden, shown
from hnp_pipeline.report.wording import interval, level_title, rounded
from hnp_pipeline.study import Study
from hnp_pipeline.vocabulary import ALL, HNP, LEVELS, NOTICE

STUDY = Study.model_validate({"evaluation": {"bootstrap_draws": 40}, "tasks": ["presence", "level"]})
MODELS = [
    {
        "task": "level",
        "fold": fold,
        "model_sha256": f"{fold}{'abc' * 21}",
        "best_epoch": 2 + fold,
        "epochs": 20,
        "validation_auc": None if fold == 3 else 0.7 + fold / 100,
        "images": {"train": 300 + fold, "validation": 100 - fold},
    }
    for fold in range(4)
]
REGISTERED = {"level": {"name": "hnp-level", "version": "7", "champion": "7"}}
MADE = FACTS | {"models": MODELS, "registered": REGISTERED, "near_duplicates": 3}


def cards(folder: Path, study: Study = STUDY, facts: dict | None = None) -> dict[str, str]:
    return write_cards(folder / "tables", study, MADE if facts is None else facts, folder / "report")


def section(card: str, title: str) -> str:
    return re.split(rf"^#+ {re.escape(title)}$", card, flags=re.M)[1].split("\n#")[0]


def lines(part: str) -> dict[str, list[str]]:
    """The lines of the first table in a part, by their first cell."""
    rows = [line.strip("| ").split(" | ") for line in re.search(r"(\|.*\|\n?)+", part)[0].splitlines()]
    return {row[0]: row[1:] for row in rows[2:]}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cards")
    write_tables(folder / "tables", STUDY, development=100, test=48, findings=True)
    return folder


@pytest.fixture(scope="module")
def made(home) -> dict[str, str]:
    return cards(home)


def test_every_task_has_a_card_and_the_data_one(home, made):
    assert set(made) == {"data_card.md", "model_card_presence.md", "model_card_level.md"}
    assert {p.name: p.read_text("utf-8") for p in (home / "report").iterdir()} == made
    for name, card in made.items():
        assert not re.search(r"None|\{\{|\bnan\b", card), name
        assert "diagnosis" in card and "Kim et al." in card


@pytest.mark.parametrize("task", ["presence", "level"])
def test_the_test_figures_are_those_of_the_metrics_table(home, made, task):
    rows = tables.read_table(home / "tables/metrics.parquet").to_pylist()
    found = {
        (r["level"], r["metric"]): r
        for r in rows
        if (r["task"], r["split"], r["fold"], r["unit"]) == (task, "test", None, "patient")
        and r["class"] in (None, "hnp")
    }
    levels = (HNP,) if task == "presence" else (*LEVELS, ALL, HNP)
    printed = lines(section(made[f"model_card_{task}.md"], "On the test set"))
    assert list(printed) == [level_title(level) for level in levels]
    for level in levels:
        for metric, cell in zip(
            ("auc", "precision", "recall", "f1", "accuracy"), printed[level_title(level)], strict=True
        ):
            row = found[level, metric]
            ends = interval(row["ci_low"], row["ci_high"], metric)
            expected = rounded(row["value"], metric) + ("†" if row["reason"] else "")
            assert cell == expected + (f" ({ends})" if ends else "")
    headline = found[HNP if task == "presence" else ALL, "auc"]
    assert f"**{rounded(headline['value'])} (" in opening(made[f"model_card_{task}.md"])


def test_thresholds_baseline_groups_and_models_are_those_of_their_tables(home, made):
    card = made["model_card_level.md"]
    thresholds = tables.read_table(home / "tables/thresholds.parquet").to_pylist()
    of = [r["threshold"] for r in thresholds if (r["task"], r["level"]) == ("level", "l4_5")]
    printed = [float(v) for v in lines(section(card, "Thresholds"))["L4-5"]]
    assert printed == pytest.approx([*of, sum(of) / 4], abs=0.0006)

    [row] = [
        r
        for r in tables.read_table(home / "tables/comparisons.parquet").to_pylist()
        if (r["split"], r["first"], r["second"], r["unit"], r["level"])
        == ("test", "level", "age_and_sex", "patient", ALL)
    ]
    cells = lines(section(card, "Beside age and sex alone"))["Mean of levels"]
    assert [float(c) for c in cells[:2]] == pytest.approx([row["auc_first"], row["auc_second"]], abs=0.006)
    assert row["reason"] and cells[2].split()[0].endswith("†") and cells[2].endswith(")")
    assert float(cells[2].split("†")[0]) == pytest.approx(row["difference"], abs=0.006)
    for section_of in ("Beside age and sex alone", "Calibration", "Is it the level?"):
        assert "too few patients of one class" in section(card, section_of)

    groups = tables.read_table(home / "tables/subgroups.parquet").to_pylist()
    [view] = [
        r
        for r in groups
        if (r["by"], r["group"], r["task"], r["unit"], r["level"], r["metric"])
        == ("view", "LAT", "level", "patient", HNP, "auc")
    ]
    cells = lines(section(card, "By group"))["View: LAT, lateral"]
    assert cells[0] == str(view["patients"])
    assert float(cells[2][:4]) == pytest.approx(view["value"], abs=0.006)
    assert "†" in section(card, "By group") and "not reliable" in section(card, "By group")

    [model] = [v for k, v in lines(section(card, "Model")).items() if k == "Fold 1"]
    assert model == ["301", "99", "3 of 20", "0.71", MODELS[1]["model_sha256"][:12]]
    assert "version 7 (the champion)" in opening(card) and STUDY.training.hash in card


def test_the_data_card_says_what_stays_of_a_patient_who_withdraws(made):
    card = made["data_card.md"]
    assert "gone from every" not in card
    assert "exclusions keeps the pseudonym" in card and "until they are deleted" in card


def test_the_data_cards_counts_are_the_cohorts(home, made):
    cohort = tables.read_table(home / "tables/cohort.parquet").to_pandas()
    dev = cohort[cohort["split"] == "development"]
    card = made["data_card.md"]
    printed = lines(section(card, "What is in it"))
    for level in LEVELS:
        patients = int(dev.groupby("patient_key")[level].max().sum())
        assert printed[level_title(level)][:2] == [
            f"{patients} ({patients / dev['patient_key'].nunique():.1%})".replace("%", ""),
            f"{int(dev[level].sum())} ({dev[level].mean():.1%})".replace("%", ""),
        ]
    assert f"{len(cohort)} lumbar radiographs of {cohort['patient_key'].nunique()} patients" in card
    assert "3 pairs of pictures" in card


def test_no_patient_is_named_and_no_small_count_told(home, made):
    cohort = tables.read_table(home / "tables/cohort.parquet")
    for card in made.values():
        for column in ("patient_key", "sha256", "image_id"):
            assert not any(value in card for value in cohort[column].unique().to_pylist())
    counts = re.findall(r"\| (\d+) \(\d+\.\d\)", made["data_card.md"])
    assert counts and min(map(int, counts)) >= STUDY.report.smallest_count
    patients = [
        int(row[0])
        for row in lines(section(made["model_card_level.md"], "By group")).values()
        if row[0].isdigit()
    ]
    assert min(patients) >= STUDY.report.smallest_count
    assert "&lt;5" in made["data_card.md"] and "withheld" in made["data_card.md"]


def test_a_hospital_of_few_patients_is_not_named(tmp_path, home):
    cohort = tables.read_table(home / "tables/cohort.parquet")
    first = pc.equal(cohort["patient_key"], cohort["patient_key"][0])
    named = pc.if_else(first, "Kim Min-jun", cohort["hospital"])
    place = cohort.schema.get_field_index("hospital")
    tables.write_table(cohort.set_column(place, "hospital", named), tmp_path / "tables/cohort.parquet")
    card = cards(tmp_path)["data_card.md"]
    assert "Kim Min-jun" not in card and "Others, of few patients each" in card


def test_what_there_is_nothing_for_says_so(tmp_path):
    write_tables(tmp_path / "tables", STUDY, development=60, test=0, findings=True)
    made = cards(tmp_path)
    level = made["model_card_level.md"]
    assert "No test collection has arrived yet." in section(level, "On the test set")
    assert "No test collection has arrived yet." in section(level, "By group")
    assert "There is no test set yet" in opening(level) and "optimistic" in opening(level)
    assert "on validation" in section(level, "Beside age and sex alone")
    assert "No test collection has arrived yet." in opening(made["data_card.md"])


@pytest.mark.parametrize("written", [True, False])
def test_tables_of_zero_rows_or_none(tmp_path, written):
    if written:
        write_empty(tmp_path / "tables")
    made = cards(tmp_path, facts={})
    level = made["model_card_level.md"]
    assert "have not been evaluated yet" in opening(level)
    assert "No fold has been trained yet." in level and "|" not in level
    assert "No radiograph is in the cohort yet." in made["data_card.md"] and "|" not in made["data_card.md"]


def test_text_from_data_stays_text(tmp_path):
    evil = "<img src=x onerror=alert(1)>|`[a](javascript:b)`"
    write_tables(tmp_path / "tables", STUDY, development=40, test=0, hospital=evil, tasks=())
    study = STUDY.model_copy(update={"name": evil})
    for card in cards(tmp_path, study, {"roles": {"first": evil}, "git": evil}).values():
        assert "<img" not in card and "[a](" not in card and "&lt;img" in card
        assert not re.search(r"(?<!\\)`\[", card)
    assert text("a\nb | c") == "a b \\| c" and text(None) == "–"
    assert table(["a", "b"], [["<", 1]]).splitlines()[-1] == "| &lt; | 1 |"


def test_the_opening_tells_what_it_is_and_fits_the_registry(made):
    for name in ("model_card_presence.md", "model_card_level.md"):
        told = opening(made[name])
        assert NOTICE in told and "##" not in told
        assert len(told) < 3000  # MLflow keeps 5000 letters of a version's description


def test_small_counts_cannot_be_had_by_subtraction():
    assert hidden([20, 30, 0], 5) == [False, False, False]
    assert hidden([20, 4, 9], 5) == [False, True, True]
    assert hidden([20, 1, 2, 9], 5) == [False, True, True, True]  # 1 + 2 would tell of a group under five
    assert hidden([3], 5) == [True]
    assert shown([20, 4, 9], 5, 33) == ["20 (60.6)", "<5", "withheld"]
