"""The fast 3 x 3 convolution against XLA's, in values and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.models import resample, winograd

convolve_3x3 = jax.jit(winograd.convolve_3x3)


@jax.jit
def plain(x, weight):
    return jax.lax.conv_general_dilated(x, weight, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@pytest.mark.parametrize("height", [8, 9, 3])
def test_it_is_the_convolution(height):
    x = jax.random.normal(jax.random.key(0), (2, height, 6, 5))
    weight = jax.random.normal(jax.random.key(1), (3, 3, 5, 4))
    expected = plain(x, weight)
    np.testing.assert_allclose(convolve_3x3(x, weight), expected, atol=1e-5 * np.abs(expected).max())


def test_derivatives_are_those_of_the_convolution():
    x = jax.random.normal(jax.random.key(0), (1, 8, 4, 3))
    weight = jax.random.normal(jax.random.key(1), (3, 3, 3, 2))

    def derivatives(fn):
        return jax.jit(jax.grad(lambda x, w: jnp.sum(jnp.sin(fn(x, w))), argnums=(0, 1)))(x, weight)

    found, expected = derivatives(convolve_3x3), derivatives(plain)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())


def test_large_convolutions_take_it_on_cpu_alone():
    x, weight = jnp.zeros((1, 64, resample.LARGE // 64, resample.WIDE)), jnp.zeros((3, 3, resample.WIDE, resample.WIDE))

    def convolutions(platform):
        traced = jax.jit(lambda x, w: resample.convolve(x, w, 1, "SAME")).trace(x, weight)
        return traced.lower(lowering_platforms=(platform,)).as_text().count("stablehlo.convolution")

    assert (convolutions("cpu"), convolutions("cuda")) == (6, 1)
