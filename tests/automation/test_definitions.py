"""What one sees of the study in the Dagster UI, as far as it can be told without a run."""

import dagster as dg
import pytest

from assets import lineage
from hnp_pipeline import schemas
from hnp_pipeline.cohort.examples import EXAMPLES
from hnp_pipeline.cohort.near_duplicates import NEAR_DUPLICATES
from hnp_pipeline.definitions import build_defs
from hnp_pipeline.project import resolve

OUTSIDE = {"raw_collection", "withdrawals"}
SHOWN = {
    "radiographs": schemas.INTAKE_RADIOGRAPHS,
    "readings": schemas.INTAKE_READINGS,
    "surgeries": schemas.INTAKE_SURGERIES,
    "cohort": schemas.COHORT,
    "exclusions": schemas.EXCLUSIONS,
    "cohort_flow": schemas.COHORT_FLOW,
    "development_set": EXAMPLES,
    "test_set": EXAMPLES,
    "near_duplicates": NEAR_DUPLICATES,
    "gradcam": schemas.GRADCAM,
}


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return build_defs(
        project=resolve({}, home=tmp_path_factory.mktemp("home"), profile="tiny")
    ).resolve_asset_graph()


def test_every_asset_says_what_it_is(graph):
    for key in graph.get_all_asset_keys():
        node, name = graph.get(key), key.to_user_string()
        assert node.description and len(node.description) > 40, name
        assert node.description[0].isupper() and node.description.rstrip().endswith((".", "!")), name
        assert node.owners and node.kinds and node.group_name != "default", name
        assert node.tags["hnp/holds"] in {"identities", "pseudonyms", "pictures", "models", "figures"}, name
        assert (node.code_version is None) == (name in OUTSIDE), name
        assert node.tags.get("hnp/task", name.partition("/")[0]) == name.partition("/")[0], name


def test_groups_follow_one_another(graph):
    tasks = {key.path[0] for key in graph.get_all_asset_keys() if len(key.path) > 1}
    order = ["raw", "intake", "imaging", "cohort", "task", "report"]

    def place(key: dg.AssetKey) -> int:
        group = graph.get(key).group_name
        return order.index("task" if group in tasks else group)

    for key in graph.get_all_asset_keys():
        assert all(place(parent) <= place(key) for parent in graph.get(key).parent_keys), key


def test_every_check_says_what_it_asks(graph):
    assert all(graph.get_check_spec(key).description for key in graph.asset_check_keys)


@pytest.mark.parametrize("table", lineage.COLUMNS)
def test_lineage_goes_from_column_to_column(table, graph):
    metadata = lineage.of(table)["dagster/column_lineage"]
    names = {c.name for c in SHOWN[table]}
    key = dg.AssetKey(["level", table] if table == "gradcam" else table)
    for column, sources in metadata.deps_by_column.items():
        assert column in names
        for source in sources:
            assert source.asset_key in graph.get(key).parent_keys
            assert source.column_name in {c.name for c in SHOWN[source.asset_key.path[-1]]}
