"""The CLAHE image cache, a collection at a time."""

from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING

import dagster as dg

from assets.common import OWNERS, Holds, code_version, logged, tags, told, verdict
from hnp_pipeline.automation.survey import COLLECTIONS
from hnp_pipeline.project import Project
from hnp_pipeline.study import Study
from resources.compute import Compute, reserved
from resources.tables import Tables
from resources.tracking import Tracking

if TYPE_CHECKING:
    from hnp_pipeline.imaging.cache import CacheSummary


def build(study: Study) -> list[dg.AssetsDefinition]:
    """The asset `clahe_cache`."""

    @dg.asset(
        partitions_def=COLLECTIONS,
        deps=["radiographs", "withdrawn"],
        group_name="imaging",
        tags=tags(Holds.PICTURES),
        op_tags=reserved(study.compute, "clahe_cache"),
        owners=OWNERS,
        kinds={"opencv", "numpy"},
        description="Each readable radiograph once: gray, contrast-limited histogram equalisation, resized, 8 bit, "
        "in a memory map that training reads without decoding.",
        code_version=f"{code_version(['imaging'], study.imaging)}-opencv{version('opencv-python')}",
        check_specs=[
            dg.AssetCheckSpec(
                "cache_complete",
                asset="clahe_cache",
                blocking=True,
                description="Every readable picture is in it.",
            )
        ],
    )
    def clahe_cache(
        context: dg.AssetExecutionContext,
        project: dg.ResourceParam[Project],
        tables: dg.ResourceParam[Tables],
        compute: dg.ResourceParam[Compute],
        tracking: dg.ResourceParam[Tracking],
    ) -> dg.MaterializeResult:
        from hnp_pipeline.imaging.cache import ImageCache, build_cache
        from hnp_pipeline.imaging.pictures import usable_pictures
        from hnp_pipeline.imaging.store import SHEET, ImageStore

        name = context.partition_key
        listed = usable_pictures(project.home, project.collection(name), tables.withdrawn())
        with told():
            spread = compute.spread()
            summary = build_cache(project.home.cache(name), listed, study.imaging, spread, logged(context))
            cache = ImageCache.open(project.home.cache(name), study.imaging)
            # by the pixels themselves: code that makes the same ones trains nothing again
            cached, content = len(cache), ImageStore([cache], listed["sha256"]).content
        sheet = project.home.cache(name) / study.imaging.hash / SHEET
        shown = study.report.pictures and sheet.exists()
        stages = told_stages(summary, study.imaging.turn_inverted)
        tags = {"kind": "cache", "collection": name, "settings": study.imaging.hash}
        with tracking.run(context, tags) as run:
            run.params(study.imaging.model_dump(mode="json") | {"threads": compute.threads})
            run.metrics({"images": cached} | {k: v for k, v in stages.items() if not isinstance(v, str)})
        return dg.MaterializeResult(
            data_version=dg.DataVersion(f"{content}-{study.imaging.hash}"),
            metadata={"dagster/row_count": cached, "mlflow_run": dg.MetadataValue.url(run.link), **stages}
            # its place only: the event log outlives the picture of a patient who withdraws
            | ({"ten_pictures": dg.MetadataValue.path(sheet)} if shown else {}),
            check_results=[
                verdict(
                    "cache_complete",
                    cached == listed.num_rows,
                    f"{cached} of {listed.num_rows} pictures cached",
                )
            ],
        )

    return [clahe_cache]


def told_stages(summary: "CacheSummary", asked: bool) -> dict[str, int | float | str]:
    """What a build did and where its time went; seconds of stages are sums over threads."""
    told: dict[str, int | float | str] = asdict(summary)
    if not asked:
        told["inverted"] = "not asked (imaging.turn_inverted: false)"
    return told
