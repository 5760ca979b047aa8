import csv
import itertools
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.compute as pc
import pytest
from report_tables import FACTS, write_empty, write_tables

from hnp_pipeline import tables
from hnp_pipeline.report.cells import Key
from hnp_pipeline.report.source import shipped
from hnp_pipeline.report.study_report import write_report
from hnp_pipeline.report.wording import interval, rounded
from hnp_pipeline.study import Study
from hnp_pipeline.vocabulary import FOLDS, LEVELS

STUDY = Study.model_validate({"evaluation": {"bootstrap_draws": 60}, "report": {"gallery": 9}})
SHARED = Path(__file__).parents[2].parent / "shared"
SURE = {"auc_first", "auc_second", "temperature", "chance", "other_chance"}  # have no interval, nor a mark
VOID = {"meta", "link", "img", "br", "hr", "input", "base"}


class Page(HTMLParser):
    """Every element of a page with its attributes and the text within it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.unbalanced: list[str] = []
        self.feed(html)
        self.unbalanced += [tag for tag, _ in self._open]

    def handle_starttag(self, tag, attributes):
        text: list[str] = []
        self.elements.append((tag, dict(attributes), text))
        if tag not in VOID:
            self._open.append((tag, text))

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), []))

    def handle_endtag(self, tag):
        if not self._open or self._open[-1][0] != tag:
            self.unbalanced.append(tag)
        else:
            self._open.pop()

    def handle_data(self, data):
        for _, text in self._open:
            text.append(data)

    def of(self, tag, **wanted):
        return [
            (attributes, "".join(text))
            for name, attributes, text in self.elements
            if name == tag and all(attributes.get(k.replace("_", "-")) == v for k, v in wanted.items())
        ]

    @property
    def text(self) -> str:
        return " ".join(self.of("main")[0][1].split())


def render(
    folder: Path, study: Study = STUDY, facts: dict | None = None, out: str = "report/index.html"
) -> Page:
    write_report(folder / "tables", study, FACTS if facts is None else facts, folder, folder / out)
    return Page((folder / out).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_tables(folder / "tables", STUDY, development=100, test=48, findings=True)
    return folder


@pytest.fixture(scope="module")
def page(home: Path) -> Page:
    return render(home)


@pytest.fixture(scope="module")
def rare(tmp_path_factory) -> tuple[Path, Page]:
    folder = tmp_path_factory.mktemp("rare")
    write_tables(folder / "tables", STUDY, development=48, test=20, rare=True, findings=True)
    return folder, render(folder)


def figures_of(page: Page):
    for attributes, text in page.of("td", **{"class": "ours"}):
        if "data-of" in attributes:
            continue
        names = ("task", "split", "fold", "level", "class", "unit", "metric")
        task, split, fold, level, class_, unit, metric = (attributes[f"data-{n}"] or None for n in names)
        yield (
            Key(task, split, None if fold is None else int(fold), level, class_, unit, metric),
            attributes,
            text,
        )


def metrics_of(folder: Path):
    rows = tables.read_table(folder / "tables/metrics.parquet").to_pylist()
    return {
        Key(r["task"], r["split"], r["fold"], r["level"], r["class"], r["unit"], r["metric"]): r for r in rows
    }


@pytest.mark.parametrize("which", ["full", "rare"])
def test_every_figure_equals_the_metrics_table(which, home, page, rare):
    folder, shown = (home, page) if which == "full" else rare
    metrics = metrics_of(folder)
    seen = Counter()
    for key, attributes, text in figures_of(shown):
        if key.task == "presence" and key.level != "hnp":
            assert (attributes["data-value"], text) == ("", "–")  # no such output
            continue
        row = metrics[key]
        seen[key.task, key.split, key.unit] += 1
        for name, value in (("value", row["value"]), ("low", row["ci_low"]), ("high", row["ci_high"])):
            assert attributes[f"data-{name}"] == ("" if value is None else repr(value))
        mark = "(†|[a-z]+)" if row["reason"] else ""
        told = rounded(row["value"], key.metric)
        ends = interval(row["ci_low"], row["ci_high"], key.metric) or "–"
        expected = "–" + mark if row["value"] is None else re.escape(told) + mark + re.escape(ends)
        assert re.fullmatch(expected, text)
        assert bool(attributes.get("title")) == bool(row["reason"])
    assert seen["presence", "validation", "image"] == 8 * 5
    assert seen["level", "validation", "image"] == seen["multitask", "validation", "image"] == 22 * 5
    assert seen["level", "test", "patient"] >= 22


@pytest.mark.parametrize("which", ["full", "rare"])
def test_every_other_value_equals_its_table(which, home, page, rare):
    folder, shown = (home, page) if which == "full" else rare
    rows: dict = {}
    seen = Counter()
    for attributes, text in shown.of("td", **{"class": "ours"}):
        if (name := attributes.get("data-of")) is None:
            continue
        key = json.loads(attributes["data-key"])
        if name not in rows:
            listed = tables.read_table(folder / f"tables/{name}.parquet").to_pylist()
            rows[name] = {tuple(row[k] for k in key): row for row in listed}
        row = rows[name][tuple(key.values())]
        column = attributes["data-column"]
        seen[name, column] += 1
        value = row[column]
        assert attributes["data-value"] == ("" if value is None else repr(value))
        ends = [attributes["data-low"], attributes["data-high"]]
        if any(ends):
            assert ends == [repr(row["ci_low"]), repr(row["ci_high"])]
        doubtful = column not in SURE and row["reason"] and value is not None
        assert ("†" in text) == bool(doubtful)
        assert not doubtful or attributes["title"]
        if value is None:
            assert text.startswith("–")
        elif column != "p_value":
            digits = 3 if column in ("brier", "ece", "share", "chance", "other_discs", "other_chance") else 2
            told = re.match(rf"[+−]?\d+\.\d{{{digits}}}", text)[0].replace("−", "-")
            assert float(told) == pytest.approx(value, abs=0.501 * 10**-digits)
    wanted = {
        *(("comparisons", c) for c in ("auc_first", "auc_second", "difference", "p_value")),
        *(("calibration", c) for c in ("brier", "ece", "temperature")),
        *(("localisation", c) for c in ("share", "chance", "other_discs", "other_chance", "nearest", "hits")),
        *(
            ("averaging", "difference"),
            ("level_matrix", "auc"),
            ("level_lead", "lead"),
            ("subgroups", "value"),
        ),
    }
    assert set(seen) == wanted
    assert seen["level_matrix", "auc"] == 2 * 2 * 2 * 25  # tasks, splits, units
    assert seen["level_lead", "lead"] == 2 * 2 * 2 * 6
    per_side = 1 + 7 + 7  # presence, level, multitask against age and sex
    assert seen["comparisons", "difference"] == 2 * 2 * (per_side + 7 + 1 + 1)


def test_age_and_sex_stand_in_the_summary(home, page):
    summary = page.of("section", id="summary")[0][1]
    rows = tables.read_table(home / "tables/comparisons.parquet").to_pylist()
    (row,) = (
        r
        for r in rows
        if (r["split"], r["first"], r["second"], r["unit"], r["level"])
        == ("test", "presence", "age_and_sex", "patient", "hnp")
    )
    assert f"AUC {row['auc_first']:.2f} against {row['auc_second']:.2f} for a logistic regression" in summary
    assert f"({row['ci_low']:.2f} to {row['ci_high']:.2f})".replace("-", "−") in summary


def test_too_few_patients_allow_no_verdict(home, page, rare):
    """Twenty test patients of one class or fewer: whatever the intervals are, the summary does not go by them."""
    for shown in (page, rare[1]):
        summary = shown.of("section", id="summary")[0][1]
        assert "Too few patients to tell whether more than age and sex was read by" in summary
        assert "Too few patients to tell (fewer than 20 with or without herniation)" in summary
    rows = tables.read_table(home / "tables/metrics.parquet").to_pylist()
    aucs = {
        r["level"]: r
        for r in rows
        if (r["task"], r["split"], r["unit"], r["metric"], r["fold"])
        == ("level", "test", "patient", "auc", None)
    }
    levels = [aucs[level] for level in LEVELS]
    for row in (min(levels, key=lambda r: r["value"]), max(levels, key=lambda r: r["value"]), aucs["hnp"]):
        ends = f" ({interval(row['ci_low'], row['ci_high'])})" if row is aucs["hnp"] else ""
        told = f"{row['value']:.2f}{ends}{'†' if row['reason'] else ''}"
        assert told in page.of("section", id="summary")[0][1]


def test_marks_where_the_papers_value_lies_inside(page):
    rows = [e for e in page.elements if e[0] == "td" and (e[1].get("class") or "").split()[:1] != ["words"]]
    compared = Counter()
    for (_, ours, _), (_, paper, text) in itertools.pairwise(rows):
        if "data-paper" not in paper:
            continue
        value, low, high = float(paper["data-paper"]), ours["data-low"], ours["data-high"]
        expected = "" if not low else str(float(low) <= value <= float(high)).lower()
        assert paper["data-inside"] == expected
        assert ("inside" in paper["class"]) == (expected == "true")
        assert ("●" in "".join(text)) == (expected == "true")
        compared[expected] += 1
    assert compared["true"] > 20 and compared["false"] > 20


def test_the_summary_counts_each_of_the_papers_values_once(home, page, tmp_path):
    assert "None of these intervals is reliable" in page.text  # 25 patients a fold
    rows = tables.read_table(home / "tables/metrics.parquet")
    doubted = pc.if_else(pc.equal(rows["level"], "l4_5"), None, rows["reason"])  # as with more patients
    rows = rows.set_column(rows.column_names.index("reason"), "reason", doubted)
    tables.write_table(rows, tmp_path / "tables/metrics.parquet")
    shown, metrics = render(tmp_path), metrics_of(tmp_path)
    counts: Counter = Counter()
    for table, task in (("2", "presence"), ("3", "level"), ("4", "multitask"), ("5", "level")):
        split, unit = ("test", "patient") if table == "5" else ("validation", "image")
        for r in (r for r in shipped("kim2022.csv") if r["table"] == table):
            fold = int(r["fold"]) if r["fold"] else None
            row = metrics.get(Key(task, split, fold, r["level"], r["class"] or None, unit, r["metric"]))
            if row and row["ci_low"] is not None:
                counts[not row["reason"], row["ci_low"] <= float(r["value"]) <= row["ci_high"]] += 1
    told = re.search(
        r"Of (\d+) figures in Tables 2 to 5 that can be compared \(Table 5 per patient\), the paper’s value lies inside "
        r"our 95% interval in (\d+)\. Only (\d+) of these intervals are reliable \(not marked †\), and .* inside in "
        r"(\d+) of them",
        shown.text,
    )
    reliable, inside = counts[True, True] + counts[True, False], counts[True, True] + counts[False, True]
    assert reliable > 20 and counts[True, True] and counts[True, False]
    assert [int(n) for n in told.groups()] == [counts.total(), inside, reliable, counts[True, True]]
    assert f"Among {counts.total()} comparisons with the paper" in shown.text


@pytest.mark.skipif(not (SHARED / "paper/tables.csv").exists(), reason="the paper's tables are not here")
def test_all_of_the_papers_numbers_are_shown(page):
    with (SHARED / "paper/tables.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    shown = Counter(float(a["data-paper"]) for _, a, _ in page.elements if "data-paper" in a)
    printed = Counter(float(r["value"]) for r in rows if r["table"] != "1")
    for r in rows:
        if r["table"] == "5":  # beside the figures per patient and per image
            printed[float(r["value"])] += 1
    assert shown == printed
    counts = Counter(text for _, text in page.of("td", **{"class": "paper"}) if "," in text)
    assert all(counts[f"{int(r['value']):,}"] for r in rows if r["table"] == "1" and int(r["value"]) > 999)


def test_table_1_equals_the_cohort(home, page):
    cohort = tables.read_table(home / "tables/cohort.parquet").to_pandas()
    cohort = cohort[cohort["split"] == "development"]
    cells = [a for a, _ in page.of("td", data_table="1")]
    assert len(cells) == len(FOLDS) * len(LEVELS) * 3
    for a in cells:
        of_fold = cohort[cohort["fold"] == int(a["data-fold"])][a["data-level"]]
        expected = {"hnp": (of_fold == 1).sum(), "no_hnp": (of_fold == 0).sum(), "all": len(of_fold)}
        assert int(a["data-value"]) == expected[a["data-class"]]


def test_page_is_well_formed(page, rare):
    for shown in (page, rare[1]):
        assert shown.unbalanced == []
        ids = [a["id"] for _, a, _ in shown.elements if a.get("id")]
        assert len(ids) == len(set(ids))
        within = re.findall(r'(?:url\(#|href="#)([^)"]+)', shown.html)
        assert within and set(within) <= set(ids)
        assert all(a.get("alt") for a, _ in shown.of("img"))
        drawings = shown.of("svg")
        assert len(drawings) >= 8 and all(a["role"] == "img" and a["aria-label"] for a, _ in drawings)
        assert all(
            a.get("scope") or "stub" in (a.get("class") or "") or a.get("rowspan") for a, _ in shown.of("th")
        )


def test_nothing_is_fetched_and_nothing_runs(page):
    tags = {tag for tag, _, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form", "audio", "video"}
    assert not any(name.startswith("on") for _, a, _ in page.elements for name in a)
    sources = [a["src"] for _, a, _ in page.elements if "src" in a]
    assert len(sources) == 9 and all(s.startswith("data:image/jpeg;base64,") for s in sources)
    style = page.of("style")[0][1]
    assert "@import" not in style and "url(" not in style
    linked = {a["href"] for a, _ in page.of("a") if not a["href"].startswith("#")}
    cards = {"data_card.md", *(f"model_card_{task}.md" for task in STUDY.tasks)}
    assert linked == {FACTS["mlflow"][0]["url"]} | cards
    assert "default-src 'none'" in page.html


def test_text_from_data_is_escaped(tmp_path):
    evil = "<script>alert(1)</script>"
    write_tables(tmp_path / "tables", STUDY, development=40, test=0, hospital=evil, tasks=())
    facts = {
        "study": evil,
        "created": evil,
        "notes": [f"{evil}<img src=x onerror=alert(1)>"],
        "roles": {"first": evil},
        "versions": {evil: evil},
        "mlflow": [{"task": evil, "name": evil, "url": "javascript:alert(1)"}],
        evil: evil,
    }
    shown = render(tmp_path, STUDY.model_copy(update={"name": evil}), facts)
    assert not shown.of("script") and not shown.of("img")
    assert "<script" not in shown.html
    assert shown.text.count(evil) >= 8  # told as text, hospital and facts alike
    assert not any("javascript" in (a["href"] or "") for a, _ in shown.of("a"))


def test_no_patient_is_named(home, page):
    cohort = tables.read_table(home / "tables/cohort.parquet")
    for column in ("patient_key", "sha256"):
        assert not any(value in page.html for value in set(cohort[column].to_pylist()))


def test_figures_that_cannot_be_computed_are_told(rare):
    _, shown = rare
    cells = [
        (a, t) for k, a, t in figures_of(shown) if (k.split, k.level, k.metric) == ("test", "l1_2", "auc")
    ]
    assert len(cells) > 4
    for attributes, text in cells:
        assert text.startswith("–") and attributes["title"]
    assert "Not computed: no positive patient." in shown.text
    assert "The mean AUC over the five levels cannot be computed" in shown.text


def test_waits_for_a_test_collection(tmp_path):
    write_tables(tmp_path / "tables", STUDY, development=60, test=0)
    shown = render(tmp_path)
    table_5 = shown.of("div", id="table-5")[0]
    assert "Waiting for a test collection." in table_5[1]
    assert shown.of("div", id="table-3")[0][0]["class"] == "scroll whole"  # validation is there
    assert not any(k.split == "test" for k, _, _ in figures_of(shown))
    assert "optimistic" in shown.of("section", id="summary")[0][1]


@pytest.mark.parametrize("written", [True, False])
def test_tables_of_zero_rows_or_none(tmp_path, written):
    if written:
        write_empty(tmp_path / "tables")
    shown = render(tmp_path, Study(), {})
    assert shown.unbalanced == []
    assert len(shown.of("div", **{"class": "waiting"})) == 5  # the paper's tables
    assert "No radiograph is in the cohort yet." in shown.text
    assert list(figures_of(shown)) == []


def test_a_task_that_is_not_studied_or_not_trained(tmp_path):
    study = STUDY.model_copy(update={"tasks": ("level", "multitask")})
    write_tables(tmp_path / "tables", study, development=60, test=24, tasks=("level",))
    shown = render(tmp_path, study)
    assert "presence is not part of this study" in shown.of("div", id="table-2")[0][1]
    assert "have not been evaluated yet" in shown.of("div", id="table-4")[0][1]
    assert {k.task for k, _, _ in figures_of(shown)} == {"level"}


def test_pictures_can_be_turned_off(home):
    report = STUDY.report.model_copy(update={"pictures": False})
    (home / "pictures").mkdir()
    (home / "pictures/tables").mkdir()
    for name in ("gradcam", "cohort"):
        shutil.copy(home / f"tables/{name}.parquet", home / "pictures/tables")
    study = STUDY.model_copy(update={"report": report, "tasks": ("level",)})
    shown = render(home / "pictures", study)
    assert not shown.of("img") and "data:image" not in shown.html.replace("img-src data:", "")
    assert "Pictures are turned off" in shown.text
    assert "report.pictures" in shown.of("section", id="confidentiality")[0][1]


def test_a_third_of_the_gallery_goes_to_errors(page):
    captions = [t for _, t in page.of("figcaption") if "second/" in t]
    assert len(captions) == 9
    assert [("✗ wrong" in t) for t in captions[6:]] == [True] * 3
    ranks = [int(t.split(".")[0]) for t in captions]
    assert ranks == [1, 2, 3, 4, 5, 6, 9, 12, 15]


def test_pictures_outside_the_home_are_not_opened(tmp_path, home):
    picture = (home / "gradcam/level/0001.png").read_bytes()
    (tmp_path / "secret.png").write_bytes(picture)
    inner = tmp_path / "home"
    write_tables(inner / "tables", STUDY, development=40, test=40, tasks=("level",))
    (inner / "gradcam/level/0001.png").unlink()
    (inner / "gradcam/level/0001.png").symlink_to(tmp_path / "secret.png")
    gradcam = tables.read_table(inner / "tables/gradcam.parquet").to_pylist()
    gradcam[1]["file"] = "../secret.png"
    gradcam[2]["file"] = str(tmp_path / "secret.png")
    gradcam[3]["file"] = None
    schema = tables.read_table(inner / "tables/gradcam.parquet").schema
    tables.write_table(tables.pa.Table.from_pylist(gradcam, schema=schema), inner / "tables/gradcam.parquet")
    shown = render(inner, STUDY.model_copy(update={"tasks": ("level",)}))
    assert len(shown.of("div", **{"class": "none"})) == 4
    assert len(shown.of("img")) == 5


def test_the_same_input_gives_the_same_bytes(home):
    study = STUDY.model_copy(update={"tasks": ("presence",)})
    assert render(home, study, out="once.html").html == render(home, study, out="again.html").html


def test_says_what_it_is_not_and_what_only_authors_can_say(page):
    assert "No diagnostic device." in page.of("section", id="summary")[0][1]
    assert "burned into a picture cannot be removed" in page.text
    checklist = page.of("section", id="checklist")[0][1]
    items = {int(t) for a, t in page.of("th") if a.get("scope") == "row" and t.isdigit()}
    assert items >= set(range(1, 45))  # CLAIM 2024's
    assert checklist.count("authors") > 5 and checklist.count("in this report") > 15


def test_the_checklist_denies_nothing_that_is_there(page, tmp_path):
    def rows(shown):
        lines = shown.of("section", id="checklist")[0][1].split("\n")
        return {
            topic: " ".join(line for line in lines if topic in line)
            for topic in ("Heterogeneity", "Fairness")
        }

    assert "not in this report" not in page.of("section", id="checklist")[0][1]
    assert page.of("div", id="groups-level-auc")
    assert re.search(r"12f\W*Heterogeneity.*in this report\W*Who it works for", rows(page)["Heterogeneity"])
    assert re.search(r"Fairness.*partly\W*Who it works for", rows(page)["Fairness"])
    write_empty(tmp_path / "tables")
    assert "waiting for a test set" in rows(render(tmp_path, Study(), {}))["Heterogeneity"]


def test_provenance_is_shown(page):
    shown = page.of("section", id="provenance")[0][1]
    for value in (
        FACTS["git"],
        FACTS["settings_hash"],
        FACTS["development_set"],
        "torch 2.13.0",
        "bootstrap 2022",
    ):
        assert value in shown
    assert "clahe_clip_limit: 2.0" in shown


def test_loads_without_torch():
    code = "import sys, hnp_pipeline.report.study_report; print({'torch', 'timm'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("tasks", [("multiview",), ("level", "multiview")])
def test_a_task_that_answers_for_patients_has_no_figure_of_images(tasks, tmp_path):
    study = STUDY.model_copy(update={"tasks": tasks})
    write_tables(tmp_path / "tables", study, development=48, test=20, findings=True)
    shown = render(tmp_path, study)
    units = {key.unit for key, attributes, _ in figures_of(shown) if key.task == "multiview"}
    assert units == {"patient"} and not shown.unbalanced
    places = [json.loads(a["data-key"]) for a, _ in shown.of("td") if "data-key" in a]
    mine = [p for p in places if "multiview" in (p.get("task"), p.get("first"), p.get("second"))]
    assert {p["unit"] for p in mine} == {"patient"}
    assert ("multiview", "age_and_sex") in {(p.get("first"), p.get("second")) for p in mine}
    assert {p["by"] for p in mine if "by" in p} == {"hospital", "sex", "age", "images", "collection"}
    assert "each an answer from all of the patient’s images" in shown.text
    assert "yet" not in section_of(shown, "baseline")
    if tasks == ("multiview",):
        findings = " ".join(
            section_of(shown, anchor) for anchor in ("baseline", "levels", "groups", "usefulness")
        )
        assert "per image" not in findings and "not computed" not in findings
        assert "mean over the patient’s images" not in shown.text


def section_of(page: Page, anchor: str) -> str:
    (section,) = page.of("section", id=anchor)
    return " ".join(section[1].split())
