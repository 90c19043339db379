"""Fourier transforms against numpy and dense matrices; Cartesian, random and radial masks against their counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.operators import mri
from scoreinv.operators.base import LinearOperator

SHAPES = [(8, 8), (7, 6), (6, 7), (5, 9)]


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def dft(n):
    """The centred orthonormal DFT by its sum."""
    k = np.arange(n) - n // 2
    return np.exp(-2j * np.pi * np.outer(k, k) / n) / np.sqrt(n)


@pytest.mark.parametrize("shape", SHAPES)
def test_fourier_is_the_centred_dft(shape):
    x = normal(0, *shape, 2)
    z = x[..., 0] + 1j * x[..., 1]
    expected = dft(shape[0]) @ z @ dft(shape[1]).T
    transform = mri.FourierTransform(2)
    np.testing.assert_allclose(transform.forward(jnp.asarray(x)), expected, atol=2e-6)
    shifted = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(z), norm="ortho"))
    np.testing.assert_allclose(transform.forward(jnp.asarray(x)), shifted, atol=2e-6)
    np.testing.assert_allclose(transform.inverse(transform.forward(jnp.asarray(x))), x, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_reflection_negates_the_frequency(shape):
    spectrum = dft(shape[0]) @ normal(0, *shape) @ dft(shape[1]).T
    np.testing.assert_allclose(mri.reflect(jnp.asarray(spectrum)), spectrum.conj(), atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels", [1, 2])
def test_full_proximal_step_imposes_the_data(shape, channels):
    mask = jnp.asarray(np.random.default_rng(1).random(shape) < 0.4, jnp.float32)
    operator = LinearOperator(mask, mri.FourierTransform(channels))
    x, truth = jnp.asarray(normal(0, *shape, channels)), jnp.asarray(normal(1, *shape, channels))
    y = operator(truth)
    moved = x + operator.pseudo_inverse(y - operator(x))
    np.testing.assert_allclose(operator(moved), y, atol=2e-6)
    # What is not measured (neither at k nor, for real images, at -k) keeps the old image's coefficients.
    seen = np.maximum(mask, mri.reflect(mask)) if channels == 1 else mask
    kept = (1 - seen) * operator.transform.forward(x)
    np.testing.assert_allclose((1 - seen) * operator.transform.forward(moved), kept, atol=2e-6)


def test_noise_on_mirrored_samples_of_a_real_image_is_averaged():
    operator = LinearOperator(jnp.ones((8, 8)), mri.FourierTransform(1))
    y = jnp.asarray(normal(0, 8, 8) + 1j * normal(1, 8, 8))
    expected = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(y), norm="ortho")).real
    np.testing.assert_allclose(operator.pseudo_inverse(y)[..., 0], expected, atol=1e-6)


def test_sense_recovers_an_image_from_fewer_lines_than_columns():
    shape = (16, 16)
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    corners = [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    maps = np.stack([np.exp(-((rows - a) ** 2 + (columns - b) ** 2) + 1j * a * rows) for a, b in corners])
    transform = mri.SenseTransform(jnp.asarray(maps, jnp.complex64), steps=60)
    mask = jnp.zeros((1, 16)).at[:, ::2].set(1.0)
    operator = LinearOperator(mask, transform)
    x = jnp.asarray(normal(0, *shape, 2))
    np.testing.assert_allclose(operator.pseudo_inverse(operator(x)), x, atol=1e-3)
    np.testing.assert_allclose(transform.inverse(transform.forward(x)), x, atol=1e-5)


def test_images_of_other_channel_counts_are_refused():
    with pytest.raises(ValueError, match="3 channels"):
        mri.FourierTransform().forward(jnp.zeros((4, 4, 3)))


@pytest.mark.parametrize(("acceleration", "center", "kept"), [(24, 2, 10), (8, 7, 31), (4, 14, 60)])
def test_equispaced_mask_keeps_the_lines_of_the_paper(acceleration, center, kept):
    mask = np.asarray(mri.equispaced_mask((240, 240), acceleration, center / 240))
    assert mask.shape == (1, 240) and mask.sum() == kept
    assert mask[0, 120 - center // 2 : 120 + (center + 1) // 2].all() or mask[0, 117:124].all()
    lines = np.flatnonzero(mask[0])
    outside = lines[lines < 100]
    assert np.ptp(np.diff(outside)) <= 1


@pytest.mark.parametrize("axis", [0, 1])
def test_masks_run_along_the_phase_encoding_axis(axis):
    shape = (48, 96)
    for mask in (
        mri.equispaced_mask(shape, 4, 0.08, axis),
        mri.random_mask(jax.random.key(0), shape, 4, 0.08, axis),
    ):
        assert mask.shape == ((48, 1), (1, 96))[axis]
        n = shape[axis]
        assert abs(float(mask.sum()) - n / 4) <= 1
        center = round(0.08 * n)
        assert np.asarray(mask).ravel()[n // 2 - center // 2 : n // 2 + center // 2].all()


def test_full_sampling():
    assert np.all(np.asarray(mri.equispaced_mask((12, 10), 1, 0.1)) == 1)
    assert np.all(np.asarray(mri.random_mask(jax.random.key(0), (12, 10), 1, 0.1)) == 1)


def test_random_mask_draws_every_outer_line_equally_often():
    keys = jax.random.split(jax.random.key(0), 4000)
    masks = jax.jit(jax.vmap(lambda key: mri.random_mask(key, (32, 32), 4, 0.125)))(keys)[:, 0]
    assert np.all(np.asarray(masks.sum(1)) == 8)
    frequency = np.asarray(masks.mean(0))
    np.testing.assert_array_equal(frequency[14:18], 1)
    outer = np.delete(frequency, np.arange(14, 18))
    np.testing.assert_allclose(outer, 4 / 28, atol=0.03)


def test_variable_density_falls_with_the_distance():
    keys = jax.random.split(jax.random.key(0), 200)
    masks = np.asarray(jax.jit(jax.vmap(lambda key: mri.variable_density_mask(key, (32, 32), 5, 0.02)))(keys))
    assert np.all(masks.sum((1, 2)) == round(32 * 32 / 5))
    density = masks.mean(0)
    assert density[15:18, 15:18].all()
    ky, kx = np.meshgrid(np.arange(-16, 16), np.arange(-16, 16), indexing="ij")
    radius = np.hypot(ky, kx)
    rings = [density[(radius >= a) & (radius < a + 4)].mean() for a in (3, 7, 11, 15)]
    assert np.all(np.diff(rings) < -0.05)


def test_radial_mask_is_made_of_diameters():
    mask = np.asarray(mri.radial_mask((33, 33), 4))
    k = np.arange(33) - 16
    lines = (k[:, None] == 0) | (k[None] == 0) | (np.abs(k[:, None]) == np.abs(k[None]))
    np.testing.assert_array_equal(mask > 0, lines & (np.hypot(k[:, None], k[None]) <= 17))
    assert np.all(np.asarray(mri.radial_mask((16, 24), 1))[8] == 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mri.equispaced_mask((64, 32), 33), "acceleration 33 for 32 lines"),
        (lambda: mri.equispaced_mask((64, 32), 0.5), "acceleration 0.5"),
        (lambda: mri.equispaced_mask((64, 32), 65, axis=0), "acceleration 65 for 64 lines"),
        (lambda: mri.equispaced_mask((64, 64), 8, 0.5), "center_fraction 0.5 measures 32 of 64 lines"),
        (lambda: mri.random_mask(jax.random.key(0), (64, 64), 4, -0.1), "center_fraction -0.1"),
        (lambda: mri.variable_density_mask(jax.random.key(0), (8, 8), 100), "acceleration 100 for 64 lines"),
        (lambda: mri.radial_mask((8, 8), 0), "0 spokes"),
    ],
)
def test_impossible_masks_are_refused(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
