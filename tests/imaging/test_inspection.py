"""Which files can be used, and why not; what is outside; what is read again."""

import hashlib
import os
import socket
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from imaging_pictures import (
    ARITHMETIC_JPEG,
    chunk,
    dicom,
    encoded,
    jpeg_declared,
    png_declared,
    radiograph,
    smooth,
    with_orientation,
)
from PIL import Image

from hnp_pipeline import schemas
from hnp_pipeline.errors import StepError
from hnp_pipeline.imaging import inspection
from hnp_pipeline.imaging.inspection import INSPECTED, inspect_files

GRAY = smooth()
LIMIT = 10_000_000
JPEG, PNG, DICOM = encoded(GRAY), encoded(GRAY, "PNG"), dicom(GRAY)
PROGRESSIVE = encoded(GRAY, progressive=True)


def inspected(
    folder: Path, files: list[str | None], known: pa.Table | None = None, limit: int = LIMIT
) -> pa.Table:
    return inspect_files(folder, pa.array(files, pa.string()), known, limit, threads=2)


def many_scans() -> bytes:
    """A progressive JPEG that repeats its last scan hundreds of times."""
    at = PROGRESSIVE.rindex(b"\xff\xda")
    return PROGRESSIVE[:at] + PROGRESSIVE[at:-2] * 300 + b"\xff\xd9"


def bad_images() -> dict[str, tuple[bytes, str]]:
    """Name → (bytes, what the reason must say)."""
    film = Image.fromarray(GRAY)
    bad = {
        "empty": (b"", "empty file"),
        "text": (b"patient moved, see second film", "not a JPEG"),
        "html": (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "not a JPEG"),
        "zeros": (bytes(50_000), "not a JPEG"),
        "tiff": (encoded(film, "TIFF"), "not a JPEG"),
        "bmp": (encoded(film, "BMP"), "not a JPEG"),
        "webp": (encoded(film, "WEBP"), "not a JPEG"),
        "gif": (encoded(film, "GIF"), "not a JPEG"),
        "pdf": (b"%PDF-1.7\n" + bytes(1000), "not a JPEG"),
        "zip": (b"PK\3\4" + bytes(1000), "not a JPEG"),
        "jpeg mark only": (b"\xff\xd8\xff", "truncated or damaged JPEG"),
        "png mark only": (b"\x89PNG\r\n\x1a\n", "truncated or damaged PNG"),
        "dicom mark only": (bytes(128) + b"DICM", "DICOM"),
        "jpeg bomb": (jpeg_declared(30_000, 30_000), "30000×30000 pixels are over the limit"),
        "png bomb": (png_declared(30_000, 30_000), "30000×30000 pixels are over the limit"),
        "dicom bomb": (dicom(GRAY, Rows=30_000, Columns=30_000), "30000×30000 pixels are over the limit"),
        "jpeg of no height": (jpeg_declared(240, 0), "truncated or damaged JPEG"),
        "jpeg of too many scans": (many_scans(), "200 scans"),
        "png of no width": (png_declared(0, 10), "truncated or damaged PNG"),
        "png without pixels": (PNG[:33] + chunk(b"IEND", b""), "truncated or damaged PNG"),
        "png of too few pixels": (png_declared(100, 100), "truncated or damaged PNG"),
        "png of a broken stream": (
            PNG[:33] + chunk(b"IDAT", b"\x78\x9c" + bytes(99)) + chunk(b"IEND", b""),
            "truncated or damaged PNG",
        ),
        "png, two headers": (PNG[:33] + PNG[8:], "truncated or damaged PNG"),
        "jpeg thumbnail of a cut file": (
            encoded(film, exif=b"Exif\0\0" + encoded(film.resize((32, 24))))[:-400],
            "truncated or damaged JPEG",
        ),
        "jpeg without tables": (JPEG.replace(b"\xff\xdb", b"\xff\xfe"), "truncated or damaged JPEG"),
        "jpeg, tail of zeros": (JPEG[:-3000] + bytes(3000), "truncated or damaged JPEG"),
        "dicom without a picture": (
            dicom(GRAY)[: DICOM.index(struct.pack("<HH", 0x28, 0x10))],
            "without a picture",
        ),
        "dicom, deflated": (DICOM.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"), "deflated"),
        "dicom, jpeg 2000": (dicom(GRAY, compress="jpeg2000"), "JPEG 2000"),
    }
    for name, data in {"jpeg": JPEG, "progressive": PROGRESSIVE, "png": PNG, "dicom": DICOM}.items():
        for tenth in range(1, 10):
            bad[f"{name} cut at {tenth} tenths"] = (data[: len(data) * tenth // 10], "")
        bad[f"{name} less one byte"] = (data[:-1], "")
    return bad


def test_bad_images_are_excluded_with_a_reason(tmp_path) -> None:
    bad = bad_images()
    assert len(bad) >= 60
    for name, (data, _) in bad.items():
        (tmp_path / f"{name}.jpg").write_bytes(data)
    table = inspected(tmp_path, [f"{name}.jpg" for name in bad])
    for row, (name, (data, expected)) in zip(table.to_pylist(), bad.items(), strict=True):
        assert row["unreadable"] is not None, name
        assert expected in row["unreadable"], name
        assert f"{name}.jpg" not in row["unreadable"]
        assert (row["size"], row["sha256"], row["width"]) == (len(data), None, None), name


def test_odd_images_are_read(tmp_path) -> None:
    good = {
        "1 pixel.png": encoded(np.array([[7]], np.uint8), "PNG"),
        "black.jpg": encoded(np.zeros((50, 60), np.uint8)),
        "arithmetic.jpg": ARITHMETIC_JPEG,
        "png.jpg": PNG,
        "dicom.jpg": DICOM,
        "no ending": JPEG,
        "사진 한 장.jpg": JPEG,
        "😀 emoji.png": PNG,
        "a 'quote' \"and\" more; $(x).jpg": JPEG,
        "line\nbreak.jpg": JPEG,
    }
    for name, data in good.items():
        (tmp_path / name).write_bytes(data)
    table = inspected(tmp_path, list(good))
    assert table["unreadable"].null_count == len(good)
    assert table["sha256"].to_pylist() == [hashlib.sha256(d).hexdigest() for d in good.values()]
    assert table.slice(0, 4).select(["width", "height"]).to_pylist() == [
        {"width": 1, "height": 1},
        {"width": 60, "height": 50},
        {"width": 96, "height": 64},
        {"width": 240, "height": 180},
    ]
    assert table.schema == schemas.schema(INSPECTED)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_size_is_upright(tmp_path, orientation: int) -> None:
    (tmp_path / "a.jpg").write_bytes(with_orientation(GRAY, orientation))
    row = inspected(tmp_path, ["a.jpg"]).to_pylist()[0]
    assert (row["width"], row["height"]) == ((240, 180) if orientation < 5 else (180, 240))


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE, PNG, DICOM], ids=["jpeg", "progressive", "png", "dicom"])
def test_flipped_bytes_never_crash(tmp_path, data: bytes) -> None:
    rng = np.random.default_rng(7)
    places = np.concatenate([np.arange(60), rng.choice(len(data), 140, replace=False)])
    for i, place in enumerate(places.tolist()):
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(rng.integers(8))
        (tmp_path / f"{i}").write_bytes(flipped)
    table = inspected(tmp_path, [str(i) for i in range(len(places))])
    assert table.num_rows == 200
    if data is PNG:  # every byte of it is under a checksum
        assert table["unreadable"].null_count == 0


def test_nothing_outside_the_folder(tmp_path) -> None:
    folder, outside = tmp_path / "first", tmp_path / "second"
    for path in (folder / "images", outside):
        path.mkdir(parents=True)
    for path in (folder / "images" / "a.png", outside / "b.png", tmp_path / "first2.png"):
        path.write_bytes(PNG)
    (folder / "inside.png").symlink_to(folder / "images" / "a.png")
    (folder / "link.png").symlink_to(outside / "b.png")
    (folder / "door").symlink_to(outside)
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "nowhere").symlink_to(folder / "not there")
    reasons = {
        "images/a.png": None,
        "inside.png": None,
        "./images/../images/a.png": None,
        "../second/b.png": "outside the collection's folder",
        "../first2.png": "outside the collection's folder",
        str(folder / "images" / "a.png"): "outside the collection's folder",
        "/etc/passwd": "outside the collection's folder",
        "link.png": "outside the collection's folder",
        "door/b.png": "outside the collection's folder",
        "..": "outside the collection's folder",
        "images/../..": "outside the collection's folder",
        "loop": "no such file",
        "nowhere": "no such file",
        "missing.png": "no such file",
        "images/a.png/b": "no such file",
        "a\0b": "no such file",
        "x" * 5000: "no such file",
        "C:\\films\\a.png": "no such file",
        "images": "not a file",
        "images/": "not a file",
        "": "not a file",
        ".": "not a file",
    }
    table = inspected(folder, list(reasons))
    assert dict(zip(table["file"].to_pylist(), table["unreadable"].to_pylist(), strict=True)) == reasons


def test_pipes_sockets_and_devices_do_not_block(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket.jpg"))
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    table = inspected(tmp_path, ["pipe.jpg", "socket.jpg", "zero.jpg"])
    server.close()
    assert table["unreadable"].to_pylist() == ["not a file", "not a file", "outside the collection's folder"]


def test_a_collection_behind_a_link_is_read(tmp_path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.png").write_bytes(PNG)
    (tmp_path / "raw").symlink_to(tmp_path / "real")
    assert inspected(tmp_path / "raw", ["a.png"])["unreadable"].to_pylist() == [None]


def test_what_is_known_is_not_read_again(tmp_path, monkeypatch) -> None:
    names = [f"{i}.png" for i in range(5)]
    for i, name in enumerate(names):
        (tmp_path / name).write_bytes(encoded(radiograph(60, 50, i), "PNG"))
    (tmp_path / "bad.png").write_bytes(b"x")
    first = inspected(tmp_path, [*names, "bad.png", None, names[0]])
    assert first["file"].to_pylist() == [*names, "bad.png"]

    read = []
    real = inspection.open_regular
    monkeypatch.setattr(
        inspection, "open_regular", lambda p, **k: (read.append(Path(p).name), real(p, **k))[1]
    )
    assert inspected(tmp_path, [*names, "bad.png"], first).equals(first)
    assert read == ["bad.png"]

    (tmp_path / names[1]).write_bytes(encoded(radiograph(60, 50, 9), "PNG"))  # another content
    os.utime(tmp_path / names[2], ns=(1, 1))  # the same content, touched
    (tmp_path / names[3]).unlink()
    read.clear()
    second = inspected(tmp_path, [*names, "bad.png"], first)
    assert sorted(read) == [names[1], names[2], "bad.png"]
    same = [a == b for a, b in zip(first["sha256"].to_pylist(), second["sha256"].to_pylist(), strict=True)]
    assert same == [True, False, True, False, True, True]
    assert second["unreadable"].to_pylist() == [
        None,
        None,
        None,
        "no such file",
        None,
        "not a JPEG, PNG or DICOM image",
    ]


def test_a_changed_limit_is_applied_to_what_is_known(tmp_path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    low = inspected(tmp_path, ["a.png"], limit=100)
    assert "over the limit of 100" in low["unreadable"][0].as_py()
    high = inspected(tmp_path, ["a.png"], low)
    assert high["unreadable"][0].as_py() is None
    assert inspected(tmp_path, ["a.png"], high, limit=100).equals(low)


def test_a_huge_file_is_not_read(tmp_path) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.write(PNG)
        file.truncate(200_000_000_000)
    assert "too much for one picture" in inspected(tmp_path, ["a.png"])["unreadable"][0].as_py()


def test_a_failing_disk_is_an_error_and_not_an_exclusion(tmp_path, monkeypatch) -> None:
    (tmp_path / "a.png").write_bytes(PNG)

    def fail(*_args: object, **_options: object) -> None:
        raise OSError(5, "Input/output error", "CANARY.png")

    monkeypatch.setattr(inspection, "open_regular", fail)
    with pytest.raises(StepError, match="Input/output error") as caught:
        inspected(tmp_path, ["a.png"])
    assert "CANARY" not in str(caught.value)
    with pytest.raises(StepError, match="No such file"):
        inspected(tmp_path / "gone", ["a.png"])


def test_nothing_of_the_patient_is_said(tmp_path, capfd) -> None:
    broken = DICOM.replace(b"19700101", b"CANARYxx")
    files = {"CANARY1.dcm": broken, "CANARY2.dcm": broken[:-5], "CANARY3.jpg": JPEG[:-50]}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    table = inspected(tmp_path, list(files)).drop_columns(["file"])
    assert table["unreadable"].null_count == 1
    assert "CANARY" not in str(table.to_pylist()) + "".join(capfd.readouterr())


def test_no_files(tmp_path) -> None:
    assert inspected(tmp_path, []).schema == schemas.schema(INSPECTED)
