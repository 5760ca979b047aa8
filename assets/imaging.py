"""The CLAHE image cache, a collection at a time."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from assets.common import OWNERS, Holds, code_version, logged, tags, told, verdict
from hnp_pipeline.automation.survey import COLLECTIONS
from hnp_pipeline.intake.withdrawn import of_withdrawn
from hnp_pipeline.project import Project
from hnp_pipeline.study import Study
from hnp_pipeline.tables import content_hash, read_table
from resources.compute import Compute, reserved
from resources.images import pixel_version
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
        code_version=code_version(["imaging"], study.imaging),
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
        from hnp_pipeline.imaging.store import SHEET

        name = context.partition_key
        rows = read_table(project.home.intake(name, "radiographs"), ["image_id", "patient_key", "sha256"])
        names = read_table(project.home.intake(name, "names"), ["image_id", "file"])
        files = read_table(project.home.intake(name, "files"), ["file", "size", "mtime_ns"])
        listed = _one_file_each(_shown(rows, tables.withdrawn()).join(names, "image_id").join(files, "file"))
        with told():
            folder = pa.scalar(str(project.collection(name)))
            paths = pc.binary_join_element_wise(folder, listed["file"], "/")
            summary = build_cache(
                project.home.cache(name),
                listed.drop_columns("file").append_column("path", paths),
                study.imaging,
                compute.spread(),
                logged(context),
            )
            cached = len(ImageCache.open(project.home.cache(name), study.imaging))
        sheet = project.home.cache(name) / study.imaging.hash / SHEET
        shown = study.report.pictures and sheet.exists()
        content = content_hash(pa.table({"sha256": listed["sha256"]}))
        stages = told_stages(summary, study.imaging.turn_inverted)
        tags = {"kind": "cache", "collection": name, "settings": study.imaging.hash}
        with tracking.run(context, tags) as run:
            run.params(study.imaging.model_dump(mode="json") | {"threads": compute.threads})
            run.metrics({"images": cached} | {k: v for k, v in stages.items() if not isinstance(v, str)})
        return dg.MaterializeResult(
            data_version=dg.DataVersion(f"{content}-{pixel_version(study.imaging)}"),
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


def _shown(rows: pa.Table, gone: pa.Table) -> pa.Table:
    """Readable pictures, but none of a patient who withdrew, under whatever patient it lies."""
    theirs = rows.filter(of_withdrawn(rows, gone))["sha256"].combine_chunks()
    seen = pc.and_(pc.is_valid(rows["sha256"]), pc.invert(pc.is_in(rows["sha256"], theirs)))
    return rows.filter(seen).select(["image_id", "sha256"])


def _one_file_each(rows: pa.Table) -> pa.Table:
    """One file for each content: the same picture can be delivered under several names."""
    columns = ["file", "size", "mtime_ns"]
    ordered = rows.sort_by([("sha256", "ascending"), ("file", "ascending")])
    first = ordered.group_by("sha256", use_threads=False).aggregate([(column, "first") for column in columns])
    return first.rename_columns(["sha256", *columns]).sort_by("sha256")
