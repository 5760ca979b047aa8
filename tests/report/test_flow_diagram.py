import re
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from report_tables import DEVELOPMENT_EXCLUDED, cohort, flow

from hnp_pipeline import schemas
from hnp_pipeline.report.flow import REASON_TITLES, flow_diagram
from hnp_pipeline.vocabulary import Reason

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def table() -> pa.Table:
    rng = np.random.default_rng(3)
    parts = [cohort("development", 30, rng, "A"), cohort("test", 12, rng, "A")]
    return flow(pa.concat_tables(parts))


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_tells_every_rule_in_order_with_its_counts(table):
    told = texts(flow_diagram(table))
    left = told[told.index("Development") : told.index("Test")]
    found = [left.index(REASON_TITLES[reason]) for reason in Reason]
    assert found == sorted(found)
    for reason, excluded in zip(Reason, DEVELOPMENT_EXCLUDED, strict=True):
        beside = left[left.index(REASON_TITLES[reason]) + 1]
        assert beside == ("criterion not applied" if excluded is None else f"{excluded} ({excluded // 2})")


def test_ends_at_what_remains(table):
    last = {row["split"]: row for row in table.to_pylist()}
    told = texts(flow_diagram(table))
    for split, title in (("development", "Development"), ("test", "Test")):
        at = told.index(f"{title} cohort")
        assert told[at + 1 : at + 3] == [
            f"{last[split]['images_remaining']} images",
            f"{last[split]['patients_remaining']} patients",
        ]


def test_boxes_stay_within_and_apart(table):
    root = ElementTree.fromstring(flow_diagram(table))
    _, _, width, height = map(float, root.get("viewBox").split())
    boxes = [[float(node.get(k)) for k in ("x", "y", "width", "height")] for node in root.iter(f"{SVG}rect")]
    assert len(boxes) == 2 * (4 + 3)
    for i, (x, y, w, h) in enumerate(boxes):
        assert x >= 0 and x + w <= width and y >= 0 and y + h <= height
        for x2, y2, w2, h2 in boxes[i + 1 :]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def test_one_split_or_none():
    rows = flow(cohort("development", 10, np.random.default_rng(0), "A"))
    assert "No test collection yet" in texts(flow_diagram(rows))
    nothing = texts(flow_diagram(schemas.empty(schemas.COHORT_FLOW)))
    assert nothing == ["Development", "No collection yet", "Test", "No test collection yet"]


def test_row_order_does_not_matter_and_text_is_escaped(table):
    turned = table.take(list(range(len(table)))[::-1])
    assert flow_diagram(turned) == flow_diagram(table)
    rows = table.to_pylist()
    rows[1]["reason"] = "<script>&"
    svg = flow_diagram(pa.Table.from_pylist(rows, schema=table.schema))
    assert "<script" not in svg and "<script>&" in texts(svg)


def test_draws_alone(table):
    svg = flow_diagram(table)
    assert svg.startswith("<svg ") and re.findall(r'(?:href|src)="', svg) == []
    assert "Development cohort" in ElementTree.fromstring(svg).get("aria-label")
