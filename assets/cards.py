"""Cards that travel with the data and the models: what they are, what they are for, how they do."""

import dagster as dg

from assets.common import OWNERS, Holds, tags, told
from assets.report import facts
from hnp_pipeline import vocabulary
from hnp_pipeline.fingerprint import source_hash
from hnp_pipeline.fold_models import described
from hnp_pipeline.project import Project
from hnp_pipeline.study import Study
from hnp_pipeline.tables import read_table
from resources.compute import reserved
from resources.tracking import Tracking


def build(study: Study) -> list[dg.AssetsDefinition]:
    """The asset `cards`."""

    @dg.asset(
        deps=["warehouse", "near_duplicates", *(dg.AssetKey([t, "registered_model"]) for t in study.tasks)],
        group_name="report",
        op_tags=reserved(study.compute),
        owners=OWNERS,
        kinds={"markdown", "mlflow"},
        tags=tags(Holds.FIGURES),
        description="A model card for each task and a data card, made of the study's own figures: what the models are "
        "for and not for, how they do and for whom, what the data are. A model's card also stands on its page in "
        "MLflow's registry.",
        code_version=f"{source_hash('report')}-{study.hash}",
    )
    def cards(
        context: dg.AssetExecutionContext,
        project: dg.ResourceParam[Project],
        tracking: dg.ResourceParam[Tracking],
    ) -> dg.MaterializeResult:
        from hnp_pipeline.report.cards import DATA_CARD, model_card_name, write_cards
        from resources.registry import Registry

        home = project.home
        registries = {task: Registry(tracking, study, task) for task in study.tasks}
        with told():
            registered = {task: each.state() for task, each in registries.items()}
            known = facts(context, project, tracking)
            known |= {"models": _models(project), "registered": registered}
            known["near_duplicates"] = read_table(home.part("near_duplicates"), []).num_rows
            texts = write_cards(home.root / "tables", study, known, home.report.parent)
        for task, registry in registries.items():
            registry.describe(registered[task]["version"], texts[model_card_name(task)], texts[DATA_CARD])
        links = {
            f"{task}/registry": registries[task].link(registered[task]["version"]) for task in study.tasks
        }
        return dg.MaterializeResult(
            metadata={name.removesuffix(".md"): dg.MetadataValue.md(text) for name, text in texts.items()}
            | {"folder": dg.MetadataValue.path(home.report.parent)}
            | {name: dg.MetadataValue.url(link) for name, link in links.items()},
        )

    return [cards]


def _models(project: Project) -> list[dict[str, object]]:
    """What the cards tell of each fold's model."""
    found = []
    for task in project.study.tasks:
        for fold in vocabulary.FOLDS:
            model = described(project.home.fold(task, fold))
            best = model["history"][model["best_epoch"] - 1]
            kept = {k: model[k] for k in ("task", "fold", "model_sha256", "best_epoch", "images")}
            found.append(kept | {"epochs": len(model["history"]), "validation_auc": best["mean_auc"]})
    return found
