"""Pictures that look alike although they should not: for a person to review."""

import dagster as dg
import pyarrow.compute as pc

from assets import lineage
from assets.common import OWNERS, Holds, logged, query, tags, told, verdict
from hnp_pipeline.automation.planner import TOLERATES
from hnp_pipeline.cohort.near_duplicates import find_near_duplicates, hash_images
from hnp_pipeline.fingerprint import source_hash
from hnp_pipeline.project import Project
from hnp_pipeline.study import Study
from hnp_pipeline.tables import content_hash, read_kept, read_table, write_table
from resources.compute import Compute, reserved
from resources.images import Images
from resources.tables import Tables


def build(study: Study) -> list[dg.AssetsDefinition]:
    """The asset `near_duplicates`."""

    @dg.asset(
        deps=["cohort", "clahe_cache"],
        group_name="cohort",
        op_tags=reserved(study.compute),
        owners=OWNERS,
        kinds={"parquet", "duckdb"},
        tags=tags(Holds.PSEUDONYMS),
        metadata={TOLERATES: ["clahe_cache"]},
        description="Pairs of pictures of different patients, or of the two splits, that are one picture re-encoded or "
        "resized. None is excluded for it: someone should look at them.",
        code_version=source_hash("cohort/near_duplicates"),
        check_specs=[
            dg.AssetCheckSpec(
                "pictures_differ", asset="near_duplicates", description="No two patients share a picture."
            )
        ],
    )
    def near_duplicates(
        context: dg.AssetExecutionContext,
        project: dg.ResourceParam[Project],
        tables: dg.ResourceParam[Tables],
        images: dg.ResourceParam[Images],
        compute: dg.ResourceParam[Compute],
    ) -> dg.MaterializeResult:
        from hnp_pipeline.imaging.version import pixel_code

        home = project.home
        rows = read_table(home.table("cohort"), ["image_id", "patient_key", "split", "sha256"])
        kept = home.part(f"perceptual_hashes-{images.imaging.hash}-{pixel_code()}")
        with told():
            known = read_kept(kept)
            hashes = hash_images(images.store(rows), rows["sha256"], known, logged(context))
            pairs = find_near_duplicates(rows, hashes, threads=compute.threads)
        write_table(hashes, kept)
        path = home.part("near_duplicates")
        splits = pc.sum(pc.not_equal(pairs["split"], pairs["other_split"])).as_py() or 0
        found = f"{pairs.num_rows} pairs of pictures look the same, {splits} of them across the two splits"
        return dg.MaterializeResult(
            data_version=dg.DataVersion(content_hash(pairs)),
            metadata=tables.write(pairs, path) | lineage.of("near_duplicates"),
            check_results=[
                verdict(
                    "pictures_differ",
                    not pairs.num_rows,
                    found,
                    warn=True,
                    rows=query(path, "SELECT * FROM {}"),
                )
            ],
        )

    return [near_duplicates]
