"""No patient is named in anything a run leaves behind or prints, and who withdraws is gone (design 10)."""

import base64
import csv
import io
import re
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from hnp_pipeline.errors import TableError
from hnp_pipeline.intake.collection import open_collection
from hnp_pipeline.intake.xrays import read_xrays
from hnp_pipeline.study import PROFILES, Intake

pytestmark = pytest.mark.end_to_end

# One for each field that can name a person. Letters that no hash in hex, and no word of ours, has.
ID, FILE, REPORT, CHART, EXIF, COMMENT = (
    f"QZ{k}KVW" for k in ("XID", "XFILE", "XTEXT", "XCHART", "XEXIF", "XCOM")
)
BORN = ("1951-03-19", "1951/03/19", "1951.03.19", "19510319")
PLANTED = (ID, FILE, REPORT, CHART, EXIF, COMMENT, *BORN)
HOSPITAL = "<script>alert(1)</script>"
# Private to the home: where an image's file lies, so that its pixels can be read again.
MAY_NAME_FILES = re.compile(r"intake/[^/]+/(names|files)\.parquet$")
# What a home keeps of who withdrew, by pseudonym: the withdrawal, its rows among the exclusions, and in the private
# typed rows the number of each and the hash of its picture (docs/confidentiality.md).
KEEPS_WITHDRAWN = re.compile(
    r"parts/withdrawn\.parquet|tables/exclusions\.parquet|hnp\.duckdb: exclusions|intake/[^/]+/radiographs\.parquet"
)


def _rewritten(path: Path, change) -> None:
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"), newline="")))
    rows = [change(row) for row in rows]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys() if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def _named(row: dict[str, str]) -> dict[str, str]:
    """The row with a name planted in every field that can identify."""
    row = dict(row)
    if row.get("patient_id"):
        row["patient_id"] = f"{ID}{row['patient_id']}"
    if row.get("birth_date"):
        row["birth_date"] = BORN[len(row["patient_id"]) % len(BORN)]
    if row.get("file"):
        row["file"] = str(Path(row["file"]).with_name(FILE + Path(row["file"]).name))
    if row.get("reading"):
        row["reading"] = f"환자 {REPORT} 님.\n{row['reading']}\nRead by {REPORT}."
    if row.get("hospital"):
        row["hospital"] = HOSPITAL
    return row | {"chart_no": CHART}


def _marked(path: Path) -> None:
    """The picture with an EXIF description and a JPEG comment, its pixels as they were."""
    data = path.read_bytes()
    if data[:2] != b"\xff\xd8":
        return
    exif = Image.Exif()
    exif[0x010E] = EXIF
    segments = ((0xE1, exif.tobytes()), (0xFE, COMMENT.encode()))
    marks = b"".join(bytes((0xFF, k)) + (len(v) + 2).to_bytes(2, "big") + v for k, v in segments)
    path.write_bytes(data[:2] + marks + data[2:])


@pytest.fixture(scope="module")
def raw(tmp_path_factory, hnp) -> Path:
    place = tmp_path_factory.mktemp("named")
    hnp("phantom", place / "phantom", "--patients", 20, "--seed", 3)
    raw = place / "phantom" / "raw"
    for folder in (raw / "first", raw / "second"):
        for table in folder.glob("*.csv"):
            if len(table.read_text("utf-8").splitlines()) > 1:
                _rewritten(table, _named)
        for picture in sorted((folder / "images").iterdir()):
            if picture.is_file() and not picture.is_symlink():
                _marked(picture)
            picture.rename(picture.with_name(FILE + picture.name))
    _rewritten(raw / "withdrawn.csv", _named)
    return raw


@pytest.fixture(scope="module")
def study(raw, tmp_path_factory, hnp) -> tuple[Path, str]:
    """The home, and all that was printed."""
    home, profile = raw.parent / "home", raw.parent / "profile.yaml"
    settings = yaml.safe_load((PROFILES / "tiny.yaml").read_text("utf-8"))
    profile.write_text(yaml.safe_dump(settings | {"tasks": ["level"]}))
    return home, hnp("run", "--raw", raw, "--home", home, "--profile", profile)


def encodings(word: str) -> tuple[set[bytes], set[bytes]]:
    """How a text may stand in a file, whatever its case: as it is, in UTF-16, in hex; and in base64 at any offset."""
    plain = word.encode()
    any_case = {plain.lower(), word.lower().encode("utf-16-le"), plain.hex().encode()}
    exact = set()
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + plain)
        exact.add(coded[4 if offset else 0 : len(coded) - 4])
    return any_case, exact


NEEDLES = {word: encodings(word) for word in PLANTED}


def named_in(content: bytes) -> set[str]:
    """The planted words that stand in it."""
    low = content.lower()
    return {
        word
        for word, (any_case, exact) in NEEDLES.items()
        if any(f in low for f in any_case) or any(f in content for f in exact)
    }


def contents(path: Path) -> list[bytes]:
    """The bytes of a file, and of a table's cells, which Parquet and DuckDB compress."""
    found = [path.read_bytes()]
    if path.suffix == ".parquet":
        found.append(pq.read_table(path, partitioning=None).to_pandas().to_csv().encode())
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as db:
            names = [r[0] for r in db.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
            found += [db.execute(f'FROM "{n}"').df().to_csv().encode() for n in names]
    return found


def test_the_search_finds_what_is_there(tmp_path):
    for word in PLANTED:
        for text in (
            word.encode(),
            word.lower().encode(),
            word.encode("utf-16-le"),
            base64.b64encode(b"ab" + word.encode() + b"cd"),
        ):
            assert word in named_in(b"some\0thing" + text + b"else"), text
    assert named_in(b"nobody, born 1951-03-18") == set()


def test_nothing_left_behind_names_a_patient(study):
    home, told = study
    assert named_in(told.encode()) == set()
    named = {}
    for path in sorted(p for p in home.rglob("*") if p.is_file()):
        where = str(path.relative_to(home))
        assert not set(PLANTED[:6]) & named_in(where.encode()), where
        found = {word for content in contents(path) for word in named_in(content)}
        if MAY_NAME_FILES.search(where):
            assert FILE in found  # the search reads what is in there
            found -= {FILE}
        if found:
            named[where] = found
    assert not named


def test_what_is_left_behind_is_its_owners_alone(study):
    home, _ = study
    assert home.stat().st_mode & 0o077 == 0
    tables = [
        *(home / "tables").iterdir(),
        *(home / "intake").rglob("*.parquet"),
        home / "hnp.duckdb",
        home / "pseudonym.key",
    ]
    assert [p for p in tables if p.stat().st_mode & 0o077] == []


def test_text_from_data_stays_text(study):
    home, _ = study
    page = (home / "report" / "index.html").read_text("utf-8")
    assert HOSPITAL not in page and "&lt;script&gt;alert(1)" in page


def test_a_failing_run_names_nobody(study, raw, hnp):
    home, _ = study
    table = raw / "second" / "xrays.csv"
    good = table.read_text("utf-8")
    try:
        table.write_text(good.replace("view", "vieew", 1), "utf-8")
        told = hnp("run", "--home", home, "--until", "cohort", code=1)
        assert "xrays" in told and named_in(told.encode()) == set()
        for broken in (
            good + f'{ID}1,"{CHART}\n',
            good + f"{ID}9,{BORN[0]},M,,,\0\n",
            good.partition("\n")[2],
        ):
            table.write_text(broken, "utf-8")
            with pytest.raises(TableError) as error:
                read_xrays(open_collection(raw / "second"), Intake(), b"key")
            assert "xrays" in str(error.value) and named_in(str(error.value).encode()) == set()
    finally:
        table.write_text(good, "utf-8")


def test_commands_on_files_name_nobody(study, hnp, tmp_path):
    home, _ = study
    picture = tmp_path / f"{FILE}.jpg"
    picture.write_bytes(f"{ID} {REPORT}".encode())
    told = hnp("predict", picture, "--home", home, code=1) + hnp(
        "predict", tmp_path / FILE, "--home", home, code=2
    )
    reports = tmp_path / "reports.csv"
    for content in (
        f"{ID}1,{REPORT} L4-5 HNP\n",
        f'id,reading\n{ID},"{REPORT}\n',
        f"id,reading\n{ID},{REPORT}\0\n",
    ):
        reports.write_text(content)
        told += hnp("readings", reports, "--home", home, code=1)
    assert named_in(told.encode()) == set()


def test_who_withdraws_is_gone(study, raw, hnp):
    home, _ = study
    key, images = withdrawable(home)
    shas = set(images.values())
    collection = next(iter(images)).partition("/")[0]
    [index] = (home / "cache" / collection).glob("*/index.parquet")
    cached = pq.read_metadata(index).num_rows
    assert len(names_left(home, {key, *shas})) > 10  # the search finds the patient before
    rows = list(csv.DictReader((raw / collection / "xrays.csv").open(encoding="utf-8")))
    who = rows[int(next(iter(images)).partition("/")[2]) - 1]["patient_id"]
    table = raw / "withdrawn.csv"
    before = table.read_text("utf-8")
    columns = next(csv.reader(io.StringIO(before)))
    table.write_text(before + ",".join({"patient_id": who}.get(c, "") for c in columns) + "\n", "utf-8")

    told = hnp("run", "--home", home)

    assert "fold_model" not in told  # a test patient: nothing was learnt from the pictures
    left = names_left(home, {key, *shas})
    assert [w for w in left if not KEEPS_WITHDRAWN.fullmatch(w)] == []
    for place in ("tables/exclusions.parquet", "parts/withdrawn.parquet"):
        assert left[place] == {key}
    assert pq.read_metadata(index).num_rows == cached - len(shas)
    sql = duckdb.connect(str(home / "hnp.duckdb"), read_only=True).execute
    assert sql("SELECT DISTINCT reason FROM exclusions WHERE patient_key = ?", [key]).fetchall() == [
        ("withdrawn",)
    ]
    theirs = sql(
        "SELECT * EXCLUDE (image_id, collection) FROM radiographs WHERE image_id = ANY (?)", [list(images)]
    )
    assert {v for row in theirs.fetchall() for v in row} == {None}  # a row, of nobody


def withdrawable(home: Path) -> tuple[str, dict[str, str]]:
    """A test patient with a heat map: the pseudonym, and image_id → sha256 of all the pictures."""
    with duckdb.connect(str(home / "hnp.duckdb"), read_only=True) as db:
        [(key,)] = db.execute(
            "SELECT patient_key FROM cohort JOIN gradcam USING (image_id) ORDER BY rank LIMIT 1"
        ).fetchall()
        rows = db.execute(
            "SELECT image_id, sha256 FROM radiographs WHERE patient_key = ? AND sha256 IS NOT NULL", [key]
        )
        return key, dict(rows.fetchall())


def names_left(home: Path, words: set[str]) -> dict[str, set[str]]:
    """Where in a home any of these words stands; tables of the database apart."""
    found: dict[str, set[str]] = {}
    for path in sorted(p for p in home.rglob("*") if p.is_file()):
        where = str(path.relative_to(home))
        parts = {where: b"".join(contents(path))}
        if path.suffix == ".duckdb":
            with duckdb.connect(str(path), read_only=True) as db:
                names = [r[0] for r in db.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
                parts = {f"{where}: {n}": db.execute(f'FROM "{n}"').df().to_csv().encode() for n in names}
        for name, content in parts.items():
            if here := {word for word in words if word.encode() in content}:
                found[name] = here
    return found
