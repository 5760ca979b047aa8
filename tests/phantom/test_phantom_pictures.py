"""Signs, geometry and projection: closed forms against sums, and pictures against the severities behind them."""

from itertools import pairwise

import numpy as np
import pytest

from hnp_pipeline.phantom.anatomy import assemble, person, turn
from hnp_pipeline.phantom.picture import HEIGHT, WIDTH, radiograph
from hnp_pipeline.phantom.projection import CYLINDER, ELLIPSOID, HYPERBOLOID, Camera, Solids, attenuation
from hnp_pipeline.phantom.signs import signs
from hnp_pipeline.vocabulary import VIEWS

RANGE = np.linspace(-6, 9, 301)


def body(seed=0, **changes):
    made = person("F", 50, np.random.default_rng(seed))
    return type(made)(**{**made.__dict__, **changes})


def test_every_sign_is_strictly_monotone_in_severity():
    shown = signs(RANGE)
    assert (np.diff(shown.disc_height) < 0).all()
    assert (np.diff(shown.osteophyte) > 0).all()
    assert (np.diff(shown.sclerosis) > 0).all()
    assert (shown.disc_height > 0.1).all()


def test_signs_of_a_herniation_exceed_what_people_differ_by():
    loss = np.subtract(*signs(np.array([0.0, 2.33])).disc_height)
    own = np.array([person("M", 50, np.random.default_rng(i)).disc * person("M", 50, np.random.default_rng(i)).size
                    for i in range(300)])  # fmt: skip
    assert loss > 8 * own.std()


@pytest.mark.parametrize("bend", [-5.5, 0.0, 2.8])
def test_disc_height_is_the_distance_between_its_end_plates(bend):
    who = body()
    for severity in (np.zeros(5), np.full(5, 4.0), np.array([0, 3, -1, 5, 1.0])):
        shown = signs(severity)
        spine = assemble(who, shown, 1.0, bend)
        for k in range(1, 6):
            below = spine.bodies[k + 1] if k < 5 else None
            bottom = spine.sacrum.centre if below is None else below.at(0, 0, spine_half(who, k + 1))
            top = spine.bodies[k].at(0, 0, -spine_half(who, k))
            gap = np.linalg.norm(top - bottom)
            assert gap == pytest.approx(2 * spine.half_sizes[k, 2], rel=1e-9)
            np.testing.assert_allclose((top + bottom) / 2, spine.discs[k].centre, atol=1e-9)


def spine_half(who, k):
    from hnp_pipeline.phantom.anatomy import HEIGHT as BODY_HEIGHT

    return who.size * BODY_HEIGHT[k] * who.body[k] / 2


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        (ELLIPSOID, -np.inf, np.inf),
        (ELLIPSOID, -2.0, 5.0),
        (CYLINDER, -8.0, 8.0),
        (HYPERBOLOID, -9.0, 9.0),
        (HYPERBOLOID, 6.0, 9.0),
    ],
)
def test_chords_are_the_sum_over_small_steps(kind, low, high):
    centre, semi = np.array([3.0, -4.0, 5.0]), np.array([12.0, 9.0, 14.0])
    axes = turn(17, -12, 30)
    view = turn(10, 5, 70) @ np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    # from so far away the rays are parallel
    camera = Camera(np.zeros(3), view, 1e7, 1.5, (41, 37), (18.0, 20.0))
    solids = Solids()
    solids.add(centre, axes, tuple(semi), 0.5, kind, low, high)
    found = attenuation(solids, camera)

    x, y = np.meshgrid(np.arange(37) - 18.0, 20.0 - np.arange(41))
    depth = np.arange(-40, 40, 0.05)
    points = (
        1.5 * x[..., None, None] * view[:, 0]
        + 1.5 * y[..., None, None] * view[:, 1]
        + depth[:, None] * view[:, 2]
    )
    local = (points - centre) @ axes
    weights = np.array([1, 1, kind]) / semi**2
    inside = ((local**2 * weights).sum(-1) <= 1) & (local[..., 2] >= low) & (local[..., 2] <= high)
    np.testing.assert_allclose(found, 0.5 * 0.05 * inside.sum(-1), atol=0.06)
    assert found.max() > 1


def test_a_solid_lands_on_the_pixel_of_its_centre():
    view = turn(0, 0, 35) @ np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    camera = Camera(np.array([5.0, 0, 0]), view, 900.0, 0.8, (200, 160), (80.0, 100.0))
    for at in ([30.0, 20, 40], [-25.0, -60, -33], [0.0, 90, 10]):
        solids = Solids()
        solids.add(np.array(at), np.eye(3), (6, 6, 6), 1.0)
        shadow = attenuation(solids, camera)
        (x, y), _ = camera.pixel(np.array([at]))[0][0], None
        rows, columns = np.mgrid[:200, :160]
        assert (shadow * columns).sum() / shadow.sum() == pytest.approx(x, abs=0.1)
        assert (shadow * rows).sum() / shadow.sum() == pytest.approx(y, abs=0.1)


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_shows_the_level_and_no_other(view):
    """The picture changes most at the disc whose severity changes, and more the more severe it is."""
    who = body(lordosis=0.9)
    healthy = radiograph(who, np.zeros(5), view, 0, np.random.default_rng(8))
    assert healthy.pixels.shape == (HEIGHT, WIDTH)
    assert healthy.pixels.dtype == np.uint8
    assert healthy.pixels.std() > 20
    for level in range(5):
        bright = []
        for severity in (0.0, 1.2, 2.4, 3.6):
            x = np.zeros(5)
            x[level] = severity
            taken = radiograph(who, x, view, 0, np.random.default_rng(8))
            bright.append([_brightness(taken.pixels, place) for place in taken.discs])
        contrast = np.array(bright)  # (severity, disc)
        assert (np.diff(contrast[:, level]) > 0).all()
        change = contrast[-1] - contrast[0]
        assert change.argmax() == level


def _brightness(picture, place):
    """Mean brightness of a band about a disc, over that of a taller one."""
    x, y = place.round().astype(int)
    near = picture[y - 8 : y + 9, x - 14 : x + 15]
    wide = picture[y - 24 : y + 25, x - 14 : x + 15]
    return near.mean() - wide.mean()


def test_discs_are_dark_between_bright_bodies():
    """In a lateral view of a healthy spine each disc can be counted."""
    who = body(lordosis=0.9, scoliosis=(0.0, 0.0, 0.0))
    taken = radiograph(who, np.full(5, -0.5), "LAT", 1, np.random.default_rng(3))
    middles = taken.discs.round().astype(int)
    for (x, y), (below_x, below_y) in pairwise(middles):
        body_x, body_y = (x + below_x) // 2, (y + below_y) // 2
        inside = taken.pixels[body_y - 4 : body_y + 5, body_x - 6 : body_x + 7].mean()
        assert inside > taken.pixels[y - 1 : y + 2, x - 6 : x + 7].mean() + 10


def test_a_picture_follows_from_its_seed_alone():
    who = body()
    one, again, other = (
        radiograph(who, np.ones(5), "LO", 2, np.random.default_rng(seed)).pixels for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
