"""Data simulated with a finer model: the plain operator's where the image is smooth, others where it has edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.operators.base import LinearOperator, block_mean, simulate
from scoreinv.operators.ct import radon_transform, uniform_angles
from scoreinv.operators.fan import fan_transform
from scoreinv.operators.mri import FourierTransform
from scoreinv.operators.mri_masks import equispaced_mask
from scoreinv.simulation.phantoms import ellipses, smooth_blobs

SIDE = 128
OPERATORS = {
    "ct": LinearOperator(jnp.ones((9, 1)), radon_transform(uniform_angles(9), (SIDE, SIDE))),
    "fan": LinearOperator(
        jnp.ones((9, 1)),
        fan_transform(
            np.linspace(0, 6, 9), (SIDE, SIDE), np.arctan(np.linspace(-0.4, 0.4, 180)), 250.0, 3, (4.0, -7.0)
        ),
    ),
    "mri": LinearOperator(equispaced_mask((SIDE, SIDE), 4, 0.08), FourierTransform()),
}


def distance(operator, fine, oversample):
    """|y_fine - y_plain| / |y_plain|."""
    plain = simulate(jax.random.key(0), operator, block_mean(fine, oversample), 0.0)
    finer = simulate(jax.random.key(0), operator, fine, 0.0, oversample)
    assert finer.y.shape == plain.y.shape and finer.operator is operator
    return float(jnp.linalg.norm(finer.y - plain.y) / jnp.linalg.norm(plain.y))


@pytest.mark.parametrize("oversample", [2, 3])
@pytest.mark.parametrize("modality", OPERATORS)
def test_a_finer_model_agrees_on_smooth_images_and_differs_on_edges(modality, oversample):
    sides = (SIDE * oversample, SIDE * oversample)
    disc = ellipses(sides, jnp.array([[1.0, 0.5, 0.4, 0.13, 0.07, 0.0]]), oversampling=1)
    smooth = distance(OPERATORS[modality], smooth_blobs(jax.random.key(1), sides), oversample)
    edges = distance(OPERATORS[modality], disc, oversample)
    assert smooth < 1.5e-3
    assert edges > 3 * smooth


def test_block_mean():
    x = jnp.arange(8.0).reshape(2, 4, 1)
    assert block_mean(x, 2).ravel().tolist() == [2.5, 4.5]
