"""Labels for tables of readings: texts to columns, columns filled from texts, and how far the two agree."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hnp_pipeline.readings.labeller import label_reading
from hnp_pipeline.schemas import BYTE, FLAG, INTAKE_READINGS, READING_DISAGREEMENTS, REAL, TEXT, schema
from hnp_pipeline.study import Readings
from hnp_pipeline.vocabulary import LEVELS

LABELS = schema([c for c in INTAKE_READINGS if c.name in (*LEVELS, "uncertain", "evidence")])
LABELS = pa.schema([*(LABELS.field(k) for k in LEVELS), LABELS.field("uncertain"), LABELS.field("evidence")])

AGREEMENT = pa.schema(
    [("level", TEXT), ("n", pa.int64()), ("agreeing", pa.int64()), ("kappa", REAL)],
)


def label_readings(texts: pa.Array | pa.ChunkedArray, settings: Readings) -> pa.Table:
    """Labels for report texts, each distinct text read once.

    Returns:
        one row a text: the five levels (int8; null where unlabelled), `uncertain`, and `evidence` (the words each label
        came from, by level). A null text is unlabelled.
    """
    labels, words = _read(texts, settings)
    return labels.append_column(LABELS.field("evidence"), _joined(words)).select(LABELS.names).cast(LABELS)


def label_rows(rows: pa.Table, settings: Readings) -> pa.Table:
    """Readings with their labels: what the level columns leave blank comes from the text.

    Readings of other regions are not labelled from their text.

    Args:
        rows: what `intake.mri_readings.read_mri_readings` gives.
        settings: how texts are read.

    Returns:
        a table of `INTAKE_READINGS`. `label_source` is `column` where all five levels came from columns, `text` where
        any came from the text, null where not all five could be had (then the reading is unlabelled).
    """
    blank = _any([pc.is_null(rows[k]) for k in LEVELS])
    wanted = pc.and_(pc.and_(blank, rows["lumbar"]), pc.is_valid(rows["reading"]))
    texts = pc.if_else(wanted, rows["reading"], pa.scalar(None, TEXT))
    labels, words = _read(texts, settings)
    from_text = [pc.is_null(rows[k]) for k in LEVELS]
    levels = {k: pc.coalesce(rows[k], labels[k]) for k in LEVELS}
    whole = pc.invert(_any([pc.is_null(v) for v in levels.values()]))
    source = pc.if_else(whole, pc.if_else(blank, "text", "column"), pa.scalar(None, TEXT))
    # words only for what came from the text; `reading` says why a text could not be labelled
    kept = {
        k: pc.if_else(taken, words[k], pa.scalar(None, TEXT))
        for k, taken in zip(LEVELS, from_text, strict=True)
    }
    columns = {
        **{
            name: rows[name]
            for name in ("collection", "row", "patient_key", "bare_key", "mri_date", "lumbar")
        },
        **levels,
        "label_source": source,
        "evidence": _joined({**kept, "reading": words["reading"]}),
        "uncertain": pc.and_(pc.fill_null(labels["uncertain"], False), blank),
    }
    return pa.table(columns).select([c.name for c in INTAKE_READINGS]).cast(schema(INTAKE_READINGS))


def compare(rows: pa.Table, settings: Readings) -> tuple[pa.Table, pa.Table]:
    """How far columns and texts agree, where a lumbar reading has both.

    Returns:
        AGREEMENT, one row a level: `n` readings with both labels, `agreeing`, and Cohen's `kappa` (Educ Psychol Meas
        1960;20:37), null where it is undefined: no readings, or both say the same of every one.
        And a table of `READING_DISAGREEMENTS`: where a column says one thing and the text another, by row, then level.
    """
    both = _both(rows)
    labels, words = _read(both["reading"], settings)
    agreement: list[tuple[str, int, int, float | None]] = []
    differing = [schema(READING_DISAGREEMENTS).empty_table()]
    for level in LEVELS:
        compared = pa.table(
            {
                "collection": both["collection"],
                "row": both["row"],
                "patient_key": both["patient_key"],
                "level": pa.repeat(pa.scalar(level), len(both)),
                "in_column": both[level],
                "in_text": labels[level],
                "evidence": words[level],
            }
        ).filter(pc.and_(pc.is_valid(both[level]), pc.is_valid(labels[level])))
        column, text = (compared[name].to_numpy().astype(np.int64) for name in ("in_column", "in_text"))
        agreement.append((level, len(column), int((column == text).sum()), _kappa(column, text)))
        differing.append(compared.filter(pa.array(column != text)).cast(schema(READING_DISAGREEMENTS)))
    by_level = [pa.array(c, f.type) for c, f in zip(zip(*agreement, strict=True), AGREEMENT, strict=True)]
    order = [(name, "ascending") for name in ("collection", "row", "level")]
    return pa.table(by_level, schema=AGREEMENT), pa.concat_tables(differing).sort_by(order)


def _both(rows: pa.Table) -> pa.Table:
    has_column = pc.invert(_all([pc.is_null(rows[k]) for k in LEVELS]))
    return rows.filter(pc.and_(pc.and_(has_column, pc.is_valid(rows["reading"])), rows["lumbar"]))


def _read(texts: pa.Array | pa.ChunkedArray, settings: Readings) -> tuple[pa.Table, dict[str, pa.Array]]:
    """Levels and `uncertain` of each text; and the words, by level and for the whole `reading`."""
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    distinct = pc.unique(texts).drop_null()
    found = [label_reading(text.as_py(), settings) for text in distinct]
    where = pc.index_in(texts, value_set=distinct)
    levels = {k: pa.array([f.levels[k] for f in found], BYTE).take(where) for k in LEVELS}
    words = {
        k: pa.array([f'{k}: "{f.evidence[k]}"' if k in f.evidence else None for f in found], TEXT).take(where)
        for k in (*LEVELS, "reading")
    }
    uncertain = pc.fill_null(pa.array([f.uncertain for f in found], FLAG).take(where), False)
    return pa.table({**levels, "uncertain": uncertain}), words


def _joined(words: dict[str, pa.ChunkedArray]) -> pa.ChunkedArray:
    parts = list(words.values())
    # the empty first part: Arrow (25.0) leaves out a row whose parts are all null
    first = pa.repeat(pa.scalar("", TEXT), len(parts[0]))
    joined = pc.utf8_ltrim(
        pc.binary_join_element_wise(first, *parts, "; ", null_handling="skip"), characters="; "
    )
    return pc.if_else(pc.equal(pc.binary_length(joined), 0), pa.scalar(None, TEXT), joined)


def _kappa(a: np.ndarray, b: np.ndarray) -> float | None:
    if not len(a):
        return None
    observed = float((a == b).mean())
    expected = float(a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean()))
    return None if expected == 1 else (observed - expected) / (1 - expected)


def _fold(masks: list[pa.ChunkedArray], how: Callable[..., pa.ChunkedArray]) -> pa.ChunkedArray:
    result = masks[0]
    for mask in masks[1:]:
        result = how(result, mask)
    return result


def _any(masks: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    return _fold(masks, pc.or_)


def _all(masks: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    return _fold(masks, pc.and_)
