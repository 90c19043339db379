"""What measurements leave open, against closed forms, and two planted mistakes that must be flagged."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.datasets.examples import EXAMPLES
from scoreinv.datasets.resizing import resize
from scoreinv.evaluation import trust
from scoreinv.evaluation.trust import flag, warning
from scoreinv.evaluation.uncertainty import object_region
from scoreinv.operators.base import LinearOperator, Measurement, simulate
from scoreinv.operators.ct import radon_transform
from scoreinv.operators.mri import FourierTransform
from scoreinv.operators.mri_masks import equispaced_mask

SIDE = 48
left_open, filled_in = jax.jit(trust.left_open, static_argnames="signal_std"), jax.jit(trust.filled_in)
open_fraction = jax.jit(trust.open_fraction, static_argnames="probes")


def kspace(mask, noise_std=0.0):
    operator = LinearOperator(jnp.asarray(mask, jnp.float32), FourierTransform())
    return Measurement(jnp.zeros(mask.shape, jnp.complex64), operator, jnp.float32(noise_std))


def sinogram(degrees, views, noise_std=0.0):
    operator = LinearOperator(
        jnp.ones((views, 1)), radon_transform(np.deg2rad(degrees) * np.arange(views) / views, (SIDE, SIDE))
    )
    return simulate(jax.random.key(0), operator, jnp.zeros((SIDE, SIDE, 1)), noise_std)


def symmetric_half():
    """Half of k-space, each sample with its mirror, so that a real image has no more."""
    keep = np.random.default_rng(0).random((SIDE, SIDE)) < 0.3
    return np.maximum(keep, np.roll(keep[::-1, ::-1], (1, 1), (0, 1))) * 1.0


def band_share(mask, scale):
    """The share of the energy of patterns between low-passes of `scale` and twice that outside of a mask."""
    rows = np.fft.fftshift(np.fft.fftfreq(SIDE))
    square = rows[:, None] ** 2 + rows**2
    energy = (np.exp(-2 * (np.pi * scale) ** 2 * square) - np.exp(-8 * (np.pi * scale) ** 2 * square)) ** 2
    return ((1 - mask) * energy).sum() / energy.sum()


def test_left_open_is_the_projection_on_the_null_space_for_exact_data():
    mask = equispaced_mask((SIDE, SIDE), 4.0, 0.1)
    image = jax.random.normal(jax.random.key(1), (SIDE, SIDE, 1))
    measurement = kspace(np.broadcast_to(mask, (SIDE, SIDE)))
    part = left_open(measurement, image)
    np.testing.assert_allclose(measurement.operator(part), 0.0, atol=1e-4)
    np.testing.assert_allclose(left_open(measurement, part), part, atol=1e-4)


def test_noise_leaves_open_what_a_wiener_filter_takes_away():
    image = jax.random.normal(jax.random.key(1), (SIDE, SIDE, 1))
    part = left_open(kspace(np.ones((SIDE, SIDE)), noise_std=0.05), image, signal_std=0.1)
    np.testing.assert_allclose(part, 0.25 / 1.25 * image, atol=1e-5)


@pytest.mark.parametrize("mask", [np.ones((SIDE, SIDE)), symmetric_half()])
def test_open_fraction_of_kspace_is_the_share_that_is_not_measured(mask):
    fraction = open_fraction(jax.random.key(0), kspace(mask), jnp.array([1.0, 2.0]), probes=16)
    expected = [band_share(mask, scale) for scale in (1.0, 2.0)]
    np.testing.assert_allclose(fraction.mean((1, 2)), expected, atol=0.03)


def test_fine_scales_and_missing_angles_are_left_open():
    wedge, few = (
        open_fraction(jax.random.key(0), sinogram(*angles), jnp.array([1.0, 2.0, 4.0]), probes=1)
        for angles in ((90, 36), (180, 12))
    )
    middle = slice(SIDE // 4, 3 * SIDE // 4)
    wedge, few = (np.asarray(fraction[:, middle, middle].mean((1, 2))) for fraction in (wedge, few))
    assert few[0] > 0.5 and few[2] < 0.02
    assert min(wedge) > 0.2


def ellipse(centre, radii, angle=0.0):
    y, x = np.mgrid[:SIDE, :SIDE] - np.array(centre).reshape(2, 1, 1)
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    return jnp.asarray(((u / radii[0]) ** 2 + (v / radii[1]) ** 2 < 1)[..., None], jnp.float32)


def brain_without_a_horn():
    """8x: all of a horn of a ventricle that the data do not show is missing."""
    horn = -0.4 * ellipse((30, 20), (1.5, 4.0), 0.3)
    measurement = kspace(np.broadcast_to(equispaced_mask((SIDE, SIDE), 8.0, 0.04), (SIDE, SIDE)), 0.03)
    return measurement, resize(EXAMPLES["brain-mri"]().image, (SIDE, SIDE)), -left_open(measurement, horn)


def body_with_an_arc():
    """90 degrees: all of an arc that the data do not contradict is there."""
    measurement = sinogram(90, 36, 0.2)
    body = 0.3 * ellipse((24, 24), (21, 17)) + 0.3 * ellipse((22, 18), (4, 7))
    arc = 0.4 * (ellipse((24, 28), (9, 7)) - ellipse((24, 28), (7, 5)))
    return measurement, body, left_open(measurement, arc)


@pytest.mark.parametrize(("mistake", "threshold"), [(brain_without_a_horn, 0.15), (body_with_an_arc, 0.08)])
def test_a_lost_horn_and_an_invented_arc_are_flagged(mistake, threshold):
    measurement, truth, error = mistake()
    image = truth + error
    wrong = (np.abs(np.asarray(error)[..., 0]) > 0.1) & object_region(image)
    found = flag(filled_in(measurement, image), object_region(image), threshold)
    assert wrong.sum() >= 20 and (found.region & wrong).sum() >= 0.85 * wrong.sum()
    assert found.share < 0.7
    assert "rests on the prior" in warning(found, threshold, area=20)


def test_nothing_is_flagged_where_everything_is_measured():
    brain = jnp.asarray(resize(EXAMPLES["brain-mri"]().image, (SIDE, SIDE)))
    found = flag(filled_in(kspace(np.ones((SIDE, SIDE)), 0.01), brain), object_region(brain), threshold=0.03)
    assert found.largest == 0 and not warning(found, 0.03, area=20)
