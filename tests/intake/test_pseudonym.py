import hashlib
import hmac
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from hnp_pipeline.errors import SettingsError
from hnp_pipeline.intake.database import private_database
from hnp_pipeline.intake.pseudonym import key_of, load_key


@pytest.mark.parametrize("key", [b"", b"short", b"k" * 64, b"longer than a block" * 9])
def test_keyed_is_hmac_sha256(key):
    ids = ["", "00123", "123", "가나다", "x" * 1000]
    with private_database(key) as database:
        found = database.execute("SELECT keyed(id), unkeyed(id) FROM unnest(?) t(id)", [ids]).fetchall()
    assert found == [
        (hmac.new(key, i.encode(), "sha256").hexdigest()[:32], hashlib.sha256(i.encode()).hexdigest()[:32])
        for i in ids
    ]


def test_key_is_made_once_and_kept_private(tmp_path):
    path = tmp_path / "home" / "pseudonym.key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_key(path, None), range(64)))
    assert len(keys) == 1
    assert len(bytes.fromhex(keys.pop().decode())) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["pseudonym.key"]
    assert load_key(tmp_path / "other.key", None) != load_key(path, None)


def test_a_given_key_wins_and_touches_no_file(tmp_path):
    path = tmp_path / "pseudonym.key"
    assert load_key(path, " secret\n") == b"secret"
    assert not path.exists()
    made = load_key(path, "  ")
    assert load_key(tmp_path / "other.key", path.read_text()) == made


def test_an_unusable_key_file_is_told(tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(SettingsError, match="is empty"):
        load_key(tmp_path / "empty", None)
    with pytest.raises(SettingsError, match="cannot be read or made"):
        load_key(tmp_path / "empty" / "below a file", None)


def test_a_home_keeps_to_its_key(tmp_path):
    made = key_of(tmp_path, None)
    assert key_of(tmp_path, made.decode()) == key_of(tmp_path, None) == made
    for other in ("somewhat else", made.decode()[:-1]):
        with pytest.raises(SettingsError, match="not the pseudonym key") as told:
            key_of(tmp_path, other)
        assert other not in str(told.value)


def test_a_key_that_was_given_is_asked_for_again(tmp_path):
    assert key_of(tmp_path, "given") == b"given"
    with pytest.raises(SettingsError, match="set HNP_PSEUDONYM_KEY as it was then"):
        key_of(tmp_path, None)
    assert not (tmp_path / "pseudonym.key").exists()  # it would have been another
    assert key_of(tmp_path, " given ") == b"given"
    assert b"given" not in (tmp_path / "pseudonym.check.txt").read_bytes()


def test_a_lost_key_is_not_made_anew(tmp_path):
    key_of(tmp_path, None)
    (tmp_path / "pseudonym.key").unlink()
    with pytest.raises(SettingsError, match=r"bring back pseudonym\.key"):
        key_of(tmp_path, None)
