"""The labeller against real reports, by our own labels; the texts stay where they are."""

import csv
from pathlib import Path

import pytest

from hnp_pipeline.readings.labeller import label_reading
from hnp_pipeline.study import Readings
from hnp_pipeline.vocabulary import LEVELS

NOTES = Path(__file__).parents[2].parent / "shared" / "data" / "lumbar_mri_notes" / "notes.csv"
SHORT = dict(zip(LEVELS, ("12", "23", "34", "45", "51"), strict=True))


@pytest.mark.skipif(not NOTES.exists(), reason="the real reports are not on this machine")
def test_real_reports() -> None:
    with NOTES.open(encoding="utf-8-sig", newline="") as file:
        texts = {row["id"]: row["reading"] for row in csv.DictReader(file)}
    lines = (Path(__file__).parent / "real_labels.txt").read_text(encoding="utf-8").splitlines()
    ours = [line.split(" | ") for line in lines if not line.startswith("#")]
    assert len(ours) >= 100
    wrong = {}
    for want, name in ours:
        labels = label_reading(texts[name], Readings())
        got = " ".join(SHORT[k] for k in LEVELS if labels.levels[k]) or "-"
        got = "x" if None in labels.levels.values() else got + "?" * labels.uncertain
        if got != want:
            wrong[name] = (want, got)
    assert not wrong
