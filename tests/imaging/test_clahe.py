"""The pixels that the network sees: order, aspect, turned films, and half-size decoding."""

import cv2
import numpy as np
import pytest
from imaging_pictures import encoded, psnr, radiograph

from hnp_pipeline.imaging.clahe import is_inverted, prepare, prepare_and_tell, reduction
from hnp_pipeline.imaging.decoding import decode_gray
from hnp_pipeline.imaging.formats import read_header
from hnp_pipeline.study import Imaging

FILM = radiograph(300, 220)


def test_order() -> None:
    clahe = cv2.createCLAHE(3.0, (4, 4))
    before = cv2.resize(clahe.apply(FILM), (64, 64), interpolation=cv2.INTER_AREA)
    after = clahe.apply(cv2.resize(FILM, (64, 64), interpolation=cv2.INTER_AREA))
    settings = {"size": 64, "clahe_clip_limit": 3.0, "clahe_tiles": 4}
    assert np.array_equal(prepare(FILM, Imaging(**settings, clahe_order="before_resize")), before)
    assert np.array_equal(prepare(FILM, Imaging(**settings, clahe_order="after_resize")), after)
    assert not np.array_equal(before, after)


@pytest.mark.parametrize("order", ["before_resize", "after_resize"])
@pytest.mark.parametrize(
    ("shape", "inside"), [((300, 150), (slice(None), slice(16, 48))), ((101, 303), None)]
)
def test_padding_keeps_the_aspect(order, shape, inside) -> None:
    settings = Imaging(size=64, aspect="pad", clahe_order=order)
    pixels = prepare(np.full(shape, 200, np.uint8), settings)
    assert pixels.shape == (64, 64)
    inside = inside or (slice(21, 42), slice(None))
    assert pixels[inside].min() > 0
    outside = np.ones((64, 64), bool)
    outside[inside] = False
    assert pixels[outside].max() == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (3, 2), (31, 4000), (63, 64)])
@pytest.mark.parametrize("aspect", ["stretch", "pad"])
def test_any_size_makes_a_square(shape, aspect) -> None:
    for order in ("before_resize", "after_resize"):
        pixels = prepare(np.full(shape, 9, np.uint8), Imaging(size=64, aspect=aspect, clahe_order=order))
        assert pixels.shape == (64, 64)
        assert pixels.dtype == np.uint8


def test_turned_films() -> None:
    on, off = Imaging(size=64, turn_inverted=True), Imaging(size=64)
    plain, turned = prepare_and_tell(FILM, on)
    assert not turned
    assert np.array_equal(plain, prepare(FILM, off))
    pixels, turned = prepare_and_tell(255 - FILM, on)
    assert turned
    assert np.array_equal(pixels, plain)
    assert not np.array_equal(prepare(255 - FILM, off), plain)


def test_white_backgrounds_are_recognised_on_real_films() -> None:
    from pathlib import Path

    films = sorted((Path(__file__).parents[2].parent / "shared/data/radiographs").glob("*.jpg"))
    if not films:
        pytest.skip("no shared data")
    grays = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in films]
    assert [is_inverted(gray) for gray in grays] == [False] * len(films)
    assert [is_inverted(255 - gray) for gray in grays] == [True] * len(films)


def test_empty_films_have_no_background() -> None:
    for level in (0, 128, 255):
        assert not is_inverted(np.full((100, 80), level, np.uint8))


@pytest.mark.parametrize("size", [128, 456])
@pytest.mark.parametrize(("height", "width"), [(2500, 2000), (1800, 1500)])
def test_half_size_decoding_is_nearly_free_of_loss(height: int, width: int, size: int) -> None:
    settings = Imaging(size=size)
    data = encoded(radiograph(height, width))
    header = read_header(data, 10**8)
    assert reduction(width, height, settings) == 2
    half = decode_gray(data, header, 2)
    assert half.shape == (height // 2, width // 2)
    assert psnr(prepare(half, settings), prepare(decode_gray(data, header), settings)) >= 45


def test_small_or_barely_larger_pictures_are_decoded_whole() -> None:
    assert reduction(1600, 1399, Imaging(size=64)) == 1
    assert reduction(1600, 1400, Imaging(size=64)) == 2
    assert reduction(1500, 1600, Imaging(size=501)) == 1
    assert reduction(2500, 2000, Imaging(size=456, reduced_decoding=False)) == 1
