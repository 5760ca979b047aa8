"""The report as a reader opens it: one file, in Chromium, offline."""

import pyarrow.parquet as pq
import pytest
from browsing import Watched
from report_tables import FACTS, write_tables

from hnp_pipeline.report.study_report import write_report
from hnp_pipeline.report.wording import rounded
from hnp_pipeline.study import Study

STUDY = Study.model_validate({"evaluation": {"bootstrap_draws": 60}, "report": {"gallery": 9}})
CELLS = """
[...document.querySelectorAll('td.ours[data-metric]')].map(cell => [
    ...['task', 'split', 'fold', 'level', 'class', 'unit', 'metric'].map(n => cell.dataset[n] || null), cell.innerText])
"""
PICTURES = """
[...document.querySelectorAll('main img, main svg')].filter(p => !p.closest('details:not([open])')).map(p => {
    const box = p.getBoundingClientRect()
    return [p.tagName, p.tagName == 'IMG' ? p.naturalWidth : box.width, box.width, box.height] })
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory, chromium):
    home = tmp_path_factory.mktemp("home")
    write_tables(home / "tables", STUDY, development=100, test=48, findings=True)
    write_report(home / "tables", STUDY, FACTS, home, home / "report" / "index.html")
    page = Watched(chromium)
    page.goto((home / "report" / "index.html").as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    yield home, page
    page.close()


def test_it_says_nothing_on_the_console_and_asks_the_network_for_nothing(opened):
    home, page = opened
    assert page.said == []
    assert page.requests == [(home / "report" / "index.html").as_uri()]


def test_every_figure_is_drawn_and_nothing_is_wider_than_the_page(opened):
    _, page = opened
    pictures = page.evaluate(PICTURES)
    assert len(pictures) > 8
    assert [p for p in pictures if min(p[1:]) < 20] == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_the_figures_that_are_seen_are_those_of_the_metrics_table(opened):
    home, page = opened
    rows = pq.read_table(home / "tables" / "metrics.parquet").to_pylist()
    names = ("task", "split", "fold", "level", "class", "unit", "metric")
    wanted = {tuple(None if r[n] is None else str(r[n]) for n in names): r for r in rows}
    cells = page.evaluate(CELLS)
    shown = [(tuple(key), text) for *key, text in cells if tuple(key) in wanted]
    assert len(shown) > 400
    wrong = [
        (key, text)
        for key, text in shown
        if wanted[key]["value"] is not None
        and not text.strip().startswith(rounded(wanted[key]["value"], wanted[key]["metric"]))
    ]
    assert wrong == []


def test_it_prints(opened):
    _, page = opened
    page.emulate_media(media="print")
    assert page.pdf().startswith(b"%PDF")
    page.emulate_media(media="screen")
