"""Small plots for Dagster's metadata."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from hnp_pipeline.vocabulary import LEVEL_TITLES


def lines(series: Mapping[str, Sequence[float | None]], xlabel: str) -> bytes:
    """Line plots by step (from 1), a panel each, as PNG; gaps where a value is missing."""
    from matplotlib.figure import Figure  # no pyplot: it keeps global state

    figure = Figure(figsize=(3.2 * len(series), 2.4), layout="constrained")
    axes = figure.subplots(1, len(series), squeeze=False)[0]
    for axis, (name, values) in zip(axes, series.items(), strict=True):
        x = range(1, len(values) + 1)
        axis.plot(x, [float("nan") if v is None else v for v in values], marker="o", markersize=3)
        axis.set(title=name, xlabel=xlabel)
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)  # no epoch 0.96
    return _png(figure)


def roc(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> bytes:
    """ROC curves (1 − specificity, sensitivity) by name, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="0.8")
    for name, (false_positive, true_positive) in curves.items():
        axis.plot(false_positive, true_positive, label=name, linewidth=1.3)
    axis.set(xlabel="1 − specificity", ylabel="sensitivity", aspect="equal")
    if curves:
        axis.legend(loc="lower right", fontsize="small")
    return _png(figure)


def roc_curves(predictions: pa.Table) -> dict[str, tuple[list[float], list[float]]]:
    """By level that has both classes: 1 − specificity and sensitivity of `probability` for `label`."""
    from sklearn.metrics import roc_curve

    curves = {}
    for level in predictions["level"].unique().to_pylist():
        rows = predictions.filter(pc.equal(predictions["level"], level))
        label = rows["label"].to_numpy()
        if 0 < label.sum() < len(label):
            false_positive, true_positive, _ = roc_curve(label, rows["probability"].to_numpy())
            curves[LEVEL_TITLES[level]] = (false_positive.tolist(), true_positive.tolist())
    return curves


def as_metadata(image: bytes | Path, kind: str = "png") -> dg.MarkdownMetadataValue:
    """A picture that stands in Dagster's metadata itself."""
    data = image if isinstance(image, bytes) else image.read_bytes()
    return dg.MetadataValue.md(f"![plot](data:image/{kind};base64,{base64.b64encode(data).decode()})")


def _png(figure: object) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)  # type: ignore[attr-defined]
    return buffer.getvalue()
