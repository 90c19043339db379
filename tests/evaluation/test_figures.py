"""Figures: what they draw, on which scale, and that they leave matplotlib's state alone."""

import io

import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

from scoreinv.evaluation.figures import panel
from scoreinv.evaluation.metrics import psnr, ssim


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    truth = jnp.asarray(rng.random((24, 32, 1)), jnp.float32)
    return truth, {"TV": truth + 0.02, "ours": truth - 0.1 * truth**2}


def pictures(figure):
    """(data, colour limits, title) of every picture, without the colour bars, from left to right and top to bottom."""
    axes = [a for a in figure.axes if a.images]
    axes.sort(key=lambda a: (-round(a.get_position().y0, 3), a.get_position().x0))
    return [(np.asarray(a.images[0].get_array()), a.images[0].get_clim(), a.get_title()) for a in axes]


def test_panel_shows_every_image_its_score_and_its_error(images):
    truth, reconstructions = images
    std = 0.03 * jnp.ones_like(truth)
    drawn = pictures(panel(reconstructions, truth, std, title="brain"))
    assert [title.split("\n")[0] for _, _, title in drawn] == [
        "truth", "TV", "ours", "std over draws", "|error| × 5", "|error| × 5",
    ]  # fmt: skip
    for (data, limits, title), (name, image) in zip(drawn[1:3], reconstructions.items(), strict=True):
        np.testing.assert_allclose(data, image[..., 0], rtol=1e-6)
        assert limits == (0, 1)
        assert title == f"{name}\n{psnr(image, truth):.2f} dB,  SSIM {ssim(image, truth):.3f}"
    np.testing.assert_allclose(drawn[3][0], 0.03, rtol=1e-5)
    np.testing.assert_allclose(drawn[4][0], 0.02, atol=1e-6)
    np.testing.assert_allclose(drawn[5][0], 0.1 * truth[..., 0] ** 2, atol=1e-6)
    assert drawn[4][1] == (0, 0.2)


def test_metal_is_white_and_leaves_errors_and_scores(images):
    truth, reconstructions = images
    metal = jnp.zeros_like(truth).at[3:9, 4:7].set(1.0)
    spoiled = {name: jnp.where(metal > 0, 7.0, x) for name, x in reconstructions.items()}
    drawn = pictures(panel(spoiled, truth, metal * 5.0, metal=metal))
    for data, _, _ in drawn[:3]:
        assert np.all(data[np.asarray(metal[..., 0]) > 0] == 1)
    for data, _, _ in drawn[3:]:
        assert np.all(data[np.asarray(metal[..., 0]) > 0] == 0)
    clean = [jnp.where(metal > 0, 0.0, x) for x in (reconstructions["TV"], truth)]
    assert f"{psnr(*clean):.2f} dB" in drawn[1][2]


def test_panel_in_hounsfield_units(images):
    truth, reconstructions = images
    figure = panel(reconstructions, truth, 0.01 * truth, ends=(-1024.0, 1024.0), unit="HU", error_gain=4.0)
    drawn = pictures(figure)
    np.testing.assert_allclose(drawn[0][0], 2048 * truth[..., 0] - 1024, rtol=1e-5, atol=1e-3)
    assert drawn[0][1] == (-1024, 1024) and drawn[4][1] == (0, 512)
    np.testing.assert_allclose(drawn[4][0], 2048 * 0.02, atol=1e-2)
    np.testing.assert_allclose(drawn[3][0], 20.48 * truth[..., 0], rtol=1e-5)
    assert [a.get_title() for a in figure.axes if not a.images] == ["HU"] * 3


def test_panel_without_truth_is_one_row_without_scores(images):
    truth, reconstructions = images
    drawn = pictures(panel(reconstructions, std=0.01 * truth))
    assert [title for _, _, title in drawn] == ["TV", "ours", "std over draws"]


def test_the_interval_is_shown_on_the_scale_of_the_errors_and_what_rests_on_the_prior_is_outlined(images):
    truth, reconstructions = images
    half_width = 0.1 * jnp.ones_like(truth)
    flagged = np.zeros(truth.shape[:2], bool)
    flagged[4:8, 4:8] = True
    figure = panel(reconstructions, truth, 0.03 * truth, interval=(0.9, half_width), flagged=flagged)
    title = "half width of 90 % interval\nblue: rests on the prior"
    (axes,) = [axes for axes in figure.axes if axes.get_title() == title]
    values = axes.images[0].get_array()
    np.testing.assert_allclose(values, 0.1, atol=1e-6)
    (errors, *_) = [axes for axes in figure.axes if axes.get_title().startswith("|error|")]
    assert axes.images[0].get_clim() == errors.images[0].get_clim()
    (outline,) = axes.collections
    assert outline.get_paths()[0].get_extents().bounds == pytest.approx((3.5, 3.5, 4.0, 4.0))
    nothing = panel(reconstructions, truth, interval=(0.9, half_width), flagged=np.zeros_like(flagged))
    assert not any(axes.collections for axes in nothing.axes if axes.get_title().startswith("half width"))


def test_complex_images_show_by_magnitude(images):
    truth, _ = images
    rotated = jnp.concatenate([0.6 * truth, 0.8 * truth], -1)
    drawn = pictures(panel({"ours": rotated}, rotated))
    np.testing.assert_allclose(drawn[0][0], truth[..., 0], rtol=1e-5)
    np.testing.assert_allclose(drawn[2][0], 0, atol=1e-6)


def test_panel_saves_without_clipping_and_without_global_state(images):
    truth, reconstructions = images
    backend, parameters = matplotlib.rcParams["backend"], dict(matplotlib.rcParams)
    figure = panel(reconstructions, truth, 0.01 * truth, title="spine-ct, 23 views", ends=(-1024.0, 1024.0), unit="HU")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert dict(matplotlib.rcParams) == parameters and matplotlib.rcParams["backend"] == backend
    file.seek(0)
    pixels = imread(file)[..., :3]
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert border.min() == 1, "a label reaches the edge of the figure"
    assert pixels.min() == 0


def test_an_empty_panel_is_refused(images):
    with pytest.raises(ValueError, match="no reconstruction to draw"):
        panel({}, images[0])
