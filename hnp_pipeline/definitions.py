"""The code location: what Dagster loads. Loading imports no torch, timm or cv2."""

import os
from collections.abc import Mapping
from typing import Any

import dagster as dg

from assets import (
    cards,
    cohort,
    diagnostics,
    evaluation,
    explanation,
    imaging,
    intake,
    registry,
    report,
    screening,
    training,
)
from hnp_pipeline.automation.cluster import executor
from hnp_pipeline.automation.jobs import jobs
from hnp_pipeline.automation.sensors import automation
from hnp_pipeline.project import Project, resolve
from resources.compute import Compute
from resources.images import Images
from resources.tables import Tables
from resources.tracking import Tracking


def study_assets(project: Project) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Every asset of the study, with what comes from outside."""
    study = project.study
    by_task = [
        asset
        for task in study.tasks
        for asset in (
            *training.build(study, task),
            *evaluation.build(study, task),
            *diagnostics.build(study, task),
            *explanation.build(study, task),
            *registry.build(study, task),
        )
    ]
    return [
        *intake.RAW,
        *intake.build(study),
        *cohort.build(study),
        *imaging.build(study),
        *screening.build(study),
        *by_task,
        *diagnostics.build_comparisons(study),
        *explanation.build_localisation(study),
        *report.build(study),
        *cards.build(study),
    ]


def build_defs(overrides: Mapping[str, Any] | None = None, project: Project | None = None) -> dg.Definitions:
    """The definitions of a project (none: the environment's); `overrides` replaces resources by name, for tests."""
    project = project or resolve(os.environ)
    assets = study_assets(project)
    resources = {
        "project": project,
        "tables": Tables(project.home),
        "images": Images(project.home, project.study.imaging),
        "compute": Compute(project.study.compute),
        "tracking": Tracking(project.home, project.study.name),
    }
    sensors, schedules = automation(project, assets)
    return dg.Definitions(
        assets=assets,
        asset_checks=[intake.collections_there],
        jobs=jobs(project.study),
        sensors=sensors,
        schedules=schedules,
        resources=resources | dict(overrides or {}),
        executor=executor(project),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The project that the environment names (HNP_HOME, HNP_RAW, HNP_PROFILE), or the last run's."""
    return build_defs()
