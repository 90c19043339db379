"""Fourier transforms against numpy and dense matrices."""

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
