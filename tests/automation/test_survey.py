"""What a look at the raw folder finds, on real folders and a real instance."""

import json

import dagster as dg
import pytest

from hnp_pipeline.automation.survey import (
    fix_roles,
    known_collections,
    look,
    overruled,
    register,
    roles,
    settled_look,
)
from hnp_pipeline.errors import SettingsError
from hnp_pipeline.home import Home


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    deliver(folder, "a")
    return folder


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.ephemeral(str(tmp_path)) as instance:
        yield instance


def deliver(raw, name, rows="P1", success=True, **toml):
    folder = raw / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "xrays.csv").write_text(f"patient_id,study_date,view,file,age\n{rows}\n")
    if success:
        (folder / "_SUCCESS").touch()
    if toml:
        (folder / "collection.toml").write_text("\n".join(f'{k} = "{v}"' for k, v in toml.items()))


def test_a_new_collection_is_taken_in_once(raw, home, instance):
    survey = look(raw, known_collections(instance), {})
    assert survey.new == ["a"]
    register(survey, raw, home, instance)
    assert instance.get_dynamic_partitions("collection") == ["a"]
    again = look(raw, known_collections(instance), survey.fingerprints)
    assert (again.new, again.changed, again.vanished) == ([], [], [])


def test_without_success_it_takes_two_equal_looks(raw):
    deliver(raw, "b", success=False)
    first = look(raw, {}, {})
    assert first.new == ["a"] and first.unsettled == ["b"]
    deliver(raw, "b", rows="P1\nP2", success=False)  # still growing
    second = look(raw, {}, first.fingerprints)
    assert second.unsettled == ["b"]
    assert look(raw, {}, second.fingerprints).new == ["a", "b"]


def test_a_settled_look_waits_by_itself(raw):
    deliver(raw, "b", success=False)
    assert settled_look(raw, {}).new == ["a", "b"]


def test_changed_and_vanished(raw, home, instance):
    deliver(raw, "b")
    register(look(raw, {}, {}), raw, home, instance)
    deliver(raw, "a", rows="P2")
    for file in (raw / "b").iterdir():
        file.unlink()
    survey = look(raw, known_collections(instance), {})
    assert survey.changed == ["a"] and survey.vanished == ["b"]
    register(survey, raw, home, instance)
    assert set(instance.get_dynamic_partitions("collection")) == {"a", "b"}  # its last good version stays


def test_the_first_by_name_develops_and_roles_are_fixed_at_first_sight(raw, home):
    deliver(raw, "b")
    fix_roles(["b", "a"], raw, home)
    assert roles(home) == {"a": "development", "b": "test"}
    deliver(raw, "0", role="development")
    deliver(raw, "a", role="test")
    fix_roles(["0"], raw, home)
    assert roles(home) == {"0": "development", "a": "development", "b": "test"}
    assert overruled(raw, home) == {"a": "development"}


def test_labels_alone_do_not_take_the_development_role(raw, home):
    (raw / "0_labels").mkdir()
    (raw / "0_labels" / "mri_readings.csv").write_text("patient_id,mri_date,body_part,reading\n")
    fix_roles(["0_labels", "a"], raw, home)
    assert roles(home) == {"0_labels": "test", "a": "development"}


def test_a_collections_own_word_decides(raw, home):
    deliver(raw, "a", role="test")
    deliver(raw, "b")
    fix_roles(["a", "b"], raw, home)
    assert roles(home) == {"a": "test", "b": "development"}


def test_a_role_that_cannot_be_read_yet_is_not_fixed(raw, home, instance):
    deliver(raw, "a", rolle="development")
    deliver(raw, "b", rolle="test")
    deliver(raw, "c")
    register(look(raw, {}, {}), raw, home, instance)
    assert roles(home) == {"c": "test"}
    deliver(raw, "a", encoding="cp949")
    deliver(raw, "b", role="development")
    register(look(raw, known_collections(instance), {}), raw, home, instance)
    assert roles(home) == {"a": "development", "b": "development", "c": "test"}
    assert overruled(raw, home) == {}


def test_withdrawals_have_a_version_that_changes(raw, home, instance):
    versions = []
    for text in (None, "patient_id\nP1\n", "patient_id\nP1\nP23\n"):
        if text:
            (raw / "withdrawn.csv").write_text(text)
        for _ in range(2):  # a second look reports nothing new
            register(look(raw, known_collections(instance), {}), raw, home, instance)
        events = instance.fetch_materializations(dg.AssetKey("withdrawals"), limit=10).records
        versions = [e.asset_materialization.tags["dagster/data_version"] for e in events]
    assert len(versions) == len(set(versions)) == 3


def test_no_folder_and_no_collection(tmp_path):
    with pytest.raises(SettingsError, match="nowhere"):
        look(tmp_path / "nowhere", {}, {})
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match="no collection"):
        look(tmp_path / "empty", {}, {})


def test_roles_survive_as_plain_text(raw, home):
    fix_roles(["a"], raw, home)
    assert json.loads((home.root / "collections.json").read_text()) == {"a": "development"}
