"""The data card and the model cards: Markdown, every number from the study's tables, settings and models."""

import datetime
from pathlib import Path
from typing import Any

from hnp_pipeline import tables as storage
from hnp_pipeline.report import data_card, markdown, model_card, wording
from hnp_pipeline.report.source import Source
from hnp_pipeline.report.templating import environment
from hnp_pipeline.study import Study
from hnp_pipeline.vocabulary import NOTICE

DATA_CARD = "data_card.md"
_KNOWN = ("study", "created", "versions", "git", "settings_hash", "development_set", "label_disagreements")


def model_card_name(task: str) -> str:
    """The file of a task's card."""
    return f"model_card_{task}.md"


def write_cards(tables: Path, study: Study, facts: dict[str, Any], folder: Path) -> dict[str, str]:
    """Write `data_card.md`, and a `model_card_<task>.md` for each task, into `folder`, each atomically.

    No picture, no image id and no pseudonym is in them, and no count of patients under `report.smallest_count`.

    Args:
        tables: folder with `<name>.parquet` of `schemas.TABLES`; a table that is missing counts as empty.
        study: the settings.
        facts: as `write_report` takes them; and `models`, a mapping for each fold model (task, fold, model_sha256,
            best_epoch, epochs, validation_auc, images: {train, validation}), `registered` (task → {name, version,
            champion}), `near_duplicates` (pairs). All may be missing.
        folder: where the cards go.

    Returns:
        The text of each card by its file's name.

    Raises:
        StepError: a card cannot be written.
    """
    templates = environment(html=False, text=markdown.text, minus=lambda days: str(days).replace("-", "−"))
    shared = {
        "study": study,
        "facts": dict.fromkeys((*_KNOWN, "near_duplicates")) | facts,
        "created": _day(facts.get("created")),
        "confidence": f"{study.evaluation.confidence * 100:g} %",
        "notice": NOTICE,
    }
    with Source(tables) as source:
        cards = {DATA_CARD: ("data_card.md.jinja", data_card.context(source, study, facts))}
        for task in study.tasks:
            told = model_card.context(source, study, task, facts)
            cards[model_card_name(task)] = ("model_card.md.jinja", told)
    texts = {
        name: templates.get_template(template).render(shared | own) for name, (template, own) in cards.items()
    }
    for name, text in texts.items():
        storage.write_text(text, folder / name)
    return texts


def opening(card: str) -> str:
    """A card up to its first section: what stands on the page of the registered model."""
    return card.partition("\n## ")[0].strip()


def _day(value: object) -> str:
    try:
        return wording.day(datetime.datetime.fromisoformat(str(value)).date())
    except ValueError:
        return ""
