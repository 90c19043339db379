"""Sparsity in an orthonormal wavelet basis, the regulariser of compressed-sensing MRI (Lustig et al. 2007)."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from scoreinv.baselines.fista import fista, nonnegative, normal_norm
from scoreinv.samplers.base import Reconstruct
from scoreinv.typing import Image, Scalar

# Daubechies 1988: the orthonormal scaling filter with four vanishing moments, extremal phase.
_SCALING = np.array(
    [
        0.23037781330885523,
        0.7148465705525415,
        0.6308807679295904,
        -0.02798376941698385,
        -0.18703481171888114,
        0.030841381835986965,
        0.032883011666982945,
        -0.010597401784997278,
    ]
)


def wavelet(*, lam: Scalar = 1e-4, iterations: int = 200, levels: int = 4) -> Reconstruct:
    """FISTA on |y - A x|^2 / (2 |A|^2) + lam |details of W x|_1 over x >= 0 (Beck and Teboulle 2009a).

    W is the periodic Daubechies-4 transform. Each step shifts the image at random before it, which removes the blocks
    that a fixed grid leaves (Figueiredo and Nowak 2003). The two channels of a complex image are thresholded by their
    common magnitude, and may be negative.

    Args:
        lam: threshold of the detail coefficients; data, so a sweep compiles once.
        iterations: number of FISTA steps.
        levels: decomposition levels, fewer where a side cannot be halved that often.

    Returns:
        (key, measurement) -> image [H, W, C]; the key draws the shifts.

    Raises:
        ValueError: an odd image side.

    >>> jax.jit(scoreinv.wavelet(lam=0.003, iterations=5, levels=1))(key, measurement).shape
    (8, 8, 1)
    """

    def reconstruct(key, measurement):
        image = jax.eval_shape(measurement.operator.adjoint, measurement.y)
        depth = check_levels(image.shape[:2], levels)
        norm_key, shift_key = jax.random.split(key)

        def prox(v, state):
            state, now = jax.random.split(state)
            return nonnegative(shifted_threshold(now, v, lam, depth)), state

        return fista(measurement, prox, shift_key, iterations, normal_norm(norm_key, measurement))

    return reconstruct


def check_levels(shape: tuple[int, int], levels: int) -> int:
    """The number of levels, at most `levels`, by which both sides can be halved without falling below the filter.

    Raises:
        ValueError: not even one level.
    """
    depth = 0
    while depth < levels and all(n % 2 ** (depth + 1) == 0 and n >> depth >= _SCALING.size for n in shape):
        depth += 1
    if not depth:
        raise ValueError(
            f"wavelets need even image sides of at least {_SCALING.size}, not {shape[0]} x {shape[1]}: pad it"
        )
    return depth


def shifted_threshold(key: PRNGKeyArray, x: Image, lam: Scalar, levels: int) -> Image:
    """Soft-thresholds the detail coefficients of a randomly shifted image, and shifts it back."""
    shift = jax.random.randint(key, (2,), 0, 2**levels)
    coefficients = analysis(jnp.roll(x, shift, (0, 1)), levels)
    height, width = (n >> levels for n in x.shape[:2])
    magnitude = jnp.sqrt(jnp.sum(coefficients**2, axis=-1, keepdims=True))
    shrunk = coefficients * jnp.maximum(1 - lam / jnp.maximum(magnitude, 1e-30), 0)
    shrunk = shrunk.at[:height, :width].set(coefficients[:height, :width])
    return jnp.roll(synthesis(shrunk, levels), -shift, (0, 1))


def analysis(x: Image, levels: int) -> Image:
    """The periodic orthonormal wavelet transform, approximation in the first rows and columns (Mallat 1989)."""
    for level in range(levels):
        height, width = (n >> level for n in x.shape[:2])
        x = x.at[:height, :width].set(_both_axes(_matrix(height), _matrix(width), x[:height, :width]))
    return x


def synthesis(coefficients: Image, levels: int) -> Image:
    """The inverse and adjoint of `analysis`."""
    x = coefficients
    for level in reversed(range(levels)):
        height, width = (n >> level for n in x.shape[:2])
        x = x.at[:height, :width].set(_both_axes(_matrix(height).T, _matrix(width).T, x[:height, :width]))
    return x


def _both_axes(rows, columns, x):
    return jnp.einsum("ih,hwc,jw->ijc", rows, x, columns, precision=jax.lax.Precision.HIGHEST)


def _matrix(n: int) -> np.ndarray:
    """One level on n periodic samples as an orthogonal matrix [n, n]: averages above details."""
    details = _SCALING[::-1] * (-1.0) ** np.arange(_SCALING.size)
    matrix = np.zeros((n, n), np.float32)
    for k in range(n // 2):
        for tap, (low, high) in enumerate(zip(_SCALING, details, strict=True)):
            matrix[k, (2 * k + tap) % n] += low
            matrix[n // 2 + k, (2 * k + tap) % n] += high
    return matrix
