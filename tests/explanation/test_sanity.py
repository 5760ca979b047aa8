import numpy as np
import pytest
from scipy.stats import spearmanr

from hnp_pipeline.explanation.overlays import contact_sheet, heat_image, overlay
from hnp_pipeline.explanation.sanity import aim, randomisation_test, rank_correlations


def test_fresh_weights_change_the_maps(make_model, store) -> None:
    model = make_model()
    verdict = randomisation_test(model, store, np.arange(11), np.arange(11) % 5, seed=3)
    assert verdict.changed
    assert [x.randomised for x in verdict.likenesses] == ["classifier", "network"]
    assert verdict.empty < 6  # of a network that was never trained
    pairs = 11 - verdict.empty
    assert all(
        -1 <= x.rank_correlation < 0.5 and x.ssim < 0.9 and x.pairs == pairs for x in verdict.likenesses
    )
    assert "depend on the weights" in str(verdict)


def test_maps_that_ignore_the_weights_are_found_out(make_model, store, monkeypatch) -> None:
    """A saliency method that is an edge detector: the picture's own brightness."""
    monkeypatch.setattr(
        "hnp_pipeline.explanation.sanity.gradcam",
        lambda models, images, positions, outputs, batch_size: images.gather(positions)[:, ::32, ::32] / 255,
    )
    verdict = randomisation_test(make_model(), store, np.arange(11), np.zeros(11, int))
    assert not verdict.changed
    assert verdict.likenesses[1].rank_correlation == pytest.approx(1)
    assert verdict.likenesses[1].ssim == pytest.approx(1)
    assert "hardly" in str(verdict)


def test_empty_maps_show_nothing(make_model, store, monkeypatch) -> None:
    """Of a network whose gradients died: maps of zeros are unlike any other, which is no change."""
    model, empty = make_model(), 11
    dead = id(model.network)

    def maps(models, images, positions, outputs, batch_size):
        heats = np.random.default_rng(id(models[0].network)).random((len(positions), 8, 8))
        if id(models[0].network) == dead:
            heats[:empty] = 0
        return heats

    monkeypatch.setattr("hnp_pipeline.explanation.sanity.gradcam", maps)
    verdict = randomisation_test(model, store, np.arange(11), np.zeros(11, int))
    assert not verdict.changed and str(verdict).startswith("all 11 heat maps are empty")
    empty = 4
    verdict = randomisation_test(model, store, np.arange(11), np.zeros(11, int))
    assert verdict.changed and verdict.likenesses[1].pairs == 7 and "4 empty maps left out" in str(verdict)


def test_rank_correlation_is_spearmans() -> None:
    a, b = np.random.default_rng(0).random((2, 3, 4, 5)).round(1)
    b[2] = 0
    got = rank_correlations(a, b)
    for i in range(2):
        assert got[i] == pytest.approx(spearmanr(a[i].ravel(), b[i].ravel()).statistic)
    assert got[2] == 0


def test_aim_is_chance_for_flat_heat_and_certain_for_heat_inside() -> None:
    flat, corner, none = np.ones((4, 4)), np.zeros((4, 4)), np.zeros((4, 4))
    corner[0, 3] = 1  # top right
    heats = np.stack([flat, corner, corner, none])
    centres = np.array([[0.5, 0.5], [0.8, 0.2], [0.2, 0.8], [0.5, 0.5]])
    got = aim(heats, centres, np.tile([0.5, 0.25], (4, 1)))
    np.testing.assert_allclose(
        got.chance, [0.125, 0.1125, 0.1125, 0.125], atol=0.001
    )  # two reach over the edge
    assert got.share[0] == pytest.approx(0.125)
    assert got.share[1] > 0.5 and got.hit[1]
    assert got.share[2] == 0 and not got.hit[2]
    assert np.isnan(got.share[3]) and not got.hit[3]


def test_cold_places_show_the_radiograph_and_hot_ones_its_heat() -> None:
    picture = np.full((64, 64), 100, np.uint8)
    heat = heat_image(np.array([[0, 0], [0, 1]]), (64, 64))
    assert heat[0, 0] == 0 and heat[-1, -1] == 255
    shown = overlay(picture, heat, "L4-5  p 0.90", None)
    assert (shown[0, 0] == 100).all()
    hot = shown[445, 445].astype(int)
    assert hot[2] > hot[0] + 30  # red end of the map


def test_a_contact_sheet_keeps_order_and_fills_rows() -> None:
    pictures = [np.full((120, 100, 3), 10 * i, np.uint8) for i in range(1, 8)]
    sheet = contact_sheet(pictures, columns=3, width=50)
    assert sheet.shape == (180, 150, 3)
    assert [int(sheet[y, x, 0]) for y in (30, 90, 150) for x in (25, 75, 125)] == [
        10,
        20,
        30,
        40,
        50,
        60,
        70,
        0,
        0,
    ]
    with pytest.raises(ValueError, match="no pictures"):
        contact_sheet([])
