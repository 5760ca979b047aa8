"""Report texts: varied, and naming no herniated level but those they are made from."""

import re

import numpy as np
import pytest

from hnp_pipeline.phantom.reports import LANGUAGES, report_text

KOREAN = re.compile("[가-힣]")


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_vary_and_keep_to_their_language(language):
    rng = np.random.default_rng(1)
    texts = [report_text((rng.random(5) < 0.4).astype(int), language, rng)[0] for _ in range(300)]
    assert len(set(texts)) > 200
    korean = [bool(KOREAN.search(text)) for text in texts]
    if language == "english":
        assert not any(korean)
    if language == "korean":
        assert all(korean)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_herniated_level_is_named(language):
    rng = np.random.default_rng(2)
    for _ in range(200):
        labels = np.zeros(5, dtype=int)
        labels[rng.integers(5)] = 1
        text, _ = report_text(labels, language, rng)
        level = int(labels.argmax())
        ends = (f"L{level + 1}", f"L{level + 2}" if level < 4 else "S1")
        assert re.search(rf"{ends[0]}[-/]L?{ends[1][1:] if level < 4 else 'S1'}", text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_healthy_spine_is_said_to_be_so(language):
    rng = np.random.default_rng(3)
    for _ in range(100):
        text, hedged = report_text(np.zeros(5, dtype=int), language, rng)
        assert not hedged
        assert re.search("No |Unremarkable|없음|않", text)
