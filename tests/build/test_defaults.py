"""What a sampler derives from its measurement."""

import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from scoreinv import build
from scoreinv.operators import ct
from scoreinv.operators.base import LinearOperator, Measurement
from scoreinv.operators.mri import FourierTransform


def kspace(noise_std):
    mask = jnp.zeros((1, 8)).at[0, 2:6].set(1)
    return Measurement(jnp.zeros((8, 8), jnp.complex64), LinearOperator(mask, FourierTransform()), noise_std)


def settings_for(measurement, **fields):
    section = default.get_config().sampler
    section.update(fields)
    return build.sampler(section, measurement)


@pytest.mark.parametrize("noise_std", [0.0, 0.03])
def test_what_is_not_given_follows_the_rule(noise_std):
    make, settings = settings_for(kspace(jnp.float32(noise_std)))
    derived = build.default_settings(noise_std)
    assert int(settings["steps"]) == derived.steps
    for name in ("sigma_min", "sigma_max"):
        np.testing.assert_allclose(settings["levels"][name], getattr(derived, name), rtol=1e-5)
    assert make.start is build.STARTS[derived.start]


def test_what_is_given_wins():
    make, settings = settings_for(kspace(jnp.float32(0.03)), steps=7, sigma_max=2.0, start="zero")
    assert int(settings["steps"]) == 7 and settings["levels"]["sigma_max"] == 2
    assert make.start is build.STARTS["zero"]


def test_the_noise_of_a_sinogram_is_that_of_its_image():
    radon = ct.radon_transform(np.pi * np.arange(24) / 24, (16, 16))
    y = jnp.zeros((24, radon.detectors))
    found = [
        build.noise_in_image(Measurement(y, LinearOperator(jnp.ones((24, 1)), radon), jnp.float32(noise_std)))
        for noise_std in (0.0, 0.1, 0.2)
    ]
    assert found[0] == 0
    np.testing.assert_allclose(found[2], 2 * found[1], rtol=1e-5)
    # A view measures sums over 16 pixels: one number weighs as much as several pixels, and the image is less noisy.
    assert 0.1 / 16 < found[1] < 0.1


def test_a_missing_wedge_is_seen_in_the_views():
    degrees = np.arange(0, 180, 4.0)
    radon = ct.radon_transform(np.deg2rad(degrees), (8, 8))
    wedge = LinearOperator(jnp.asarray(degrees[:, None] < 90, jnp.float32), radon)
    np.testing.assert_allclose(build.widest_gap(wedge), 92, atol=0.01)
    np.testing.assert_allclose(build.widest_gap(LinearOperator(jnp.ones((45, 1)), radon)), 4, atol=0.01)
    assert build.widest_gap(kspace(0.0).operator) == 0
    assert build.default_settings(0.03, 92).sigma_max > build.default_settings(0.03, 4).sigma_max


@pytest.mark.parametrize(("side", "draws"), [(64, 8), (128, 8), (256, 4), (512, 1), (1024, 1)])
def test_draws_at_once_share_the_pixels_of_one_large_image(side, draws):
    assert build.draws_at_once(0, (side, side, 1)) == draws
    assert build.draws_at_once(3, (side, side, 1)) == 3
