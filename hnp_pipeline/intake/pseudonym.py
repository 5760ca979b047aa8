"""Patients' pseudonyms: HMAC-SHA256 of the id under a key that stays in the home (design 10)."""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

import duckdb

from hnp_pipeline.errors import SettingsError
from hnp_pipeline.tables import sync_directory, write_text

_BLOCK = 64  # bytes, SHA-256's
_DIGITS = 32  # hex digits kept: 128 bits, so that a collision among a billion patients is one in 10^20

# HMAC by its definition (RFC 2104), on all texts at once. The braces take the key, padded and masked, in hex.
_MACROS = """
CREATE MACRO keyed(text) AS left(sha256(unhex('{outward}') || unhex(sha256(unhex('{inward}') || encode(text)))), {digits});
CREATE MACRO unkeyed(text) AS left(sha256(text), {digits});
-- One person: the id everywhere, or the id within a hospital (no hospital counts as one of its own).
CREATE MACRO person(scope, hospital, id) AS CASE scope WHEN 'study' THEN id
    ELSE length(coalesce(upper(hospital), '')) || ':' || coalesce(upper(hospital), '') || id END;
-- The id as a spreadsheet leaves it that took it for a number: 00123 and 123.0 are 123.
CREATE MACRO bare(id) AS regexp_replace(id, '^0+|\\.0$', '', 'g');
-- Their pseudonym, where that is another.
CREATE MACRO bare_key(person, bare_person) AS CASE WHEN bare_person <> person THEN keyed(bare_person) END;
"""


def key_of(home: Path, given: str | None) -> bytes:
    """A home's key, by `load_key` of its `pseudonym.key`; `pseudonym.check.txt` sees to it that it stays the same.

    Under another key the same patient would be two, one in development and one in the test set.

    Raises:
        SettingsError: as `load_key`; or it is not the key that the home's pseudonyms were made with.
    """
    path, check = home / "pseudonym.key", home / "pseudonym.check.txt"
    known = check.read_bytes().strip().decode("ascii", "replace") if check.exists() else None
    lost = known and not (given and given.strip()) and not path.exists()
    key = b"" if lost else load_key(path, given)
    mark = hmac.new(key, b"hnp_pipeline pseudonym key", hashlib.sha256).hexdigest()[:16]
    if known is None:
        write_text(f"{mark}\n", check)
    elif known != mark:
        raise SettingsError(
            f"this is not the pseudonym key that the tables in {home} were made with: set HNP_PSEUDONYM_KEY as it was "
            "then, or leave it out if it was not set and bring back pseudonym.key; another key takes another home"
        )
    return key


def load_key(path: Path, given: str | None) -> bytes:
    """The key of all pseudonyms: `given` (HNP_PSEUDONYM_KEY) unless blank, else the one in the file `path`.

    The file is made once, whole, with mode 0600. Its text, given as HNP_PSEUDONYM_KEY, is the same key.

    Raises:
        SettingsError: the file cannot be read or made, or is empty.
    """
    if given and given.strip():
        return given.strip().encode()
    try:
        if not path.exists():
            _make(path)
        key = path.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"the pseudonym key {path} cannot be read or made: {error.strerror}") from None
    if not key:
        raise SettingsError(
            f"the pseudonym key {path} is empty: bring it back from a copy, or remove it to start anew"
        )
    return key


def teach(database: duckdb.DuckDBPyConnection, key: bytes) -> None:
    """Give a database the functions `keyed`, `unkeyed`, `person`, `bare` and `bare_key`."""
    if len(key) > _BLOCK:
        key = hashlib.sha256(key).digest()
    inward, outward = (bytes(b ^ mask for b in key.ljust(_BLOCK, b"\0")).hex() for mask in (0x36, 0x5C))
    database.execute(_MACROS.format(inward=inward, outward=outward, digits=_DIGITS))


def _make(path: Path) -> None:
    """A new key at `path`; where two make one at the same time, the first stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(temporary, path)  # unlike a rename, it leaves a key that is already there
        sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
