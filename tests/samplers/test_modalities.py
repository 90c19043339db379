"""Methods on the real operators: complex k-space and sinograms by the same code, stable in the measurement's unit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known_posteriors import compile_long, gaussian_prior
from methods import METHODS

from scoreinv.operators.base import LinearOperator, simulate
from scoreinv.operators.ct import radon_transform, uniform_angles
from scoreinv.operators.mri import FourierTransform
from scoreinv.operators.mri_masks import equispaced_mask
from scoreinv.prior import channelwise
from scoreinv.samplers.times import geometric_times
from scoreinv.sde import VESDE


def residual(measurement, x):
    """|y - A x| / |y|."""
    y, operator, _ = measurement
    return float(jnp.linalg.norm((y - operator(x)).ravel()) / jnp.linalg.norm(y.ravel()))


def run(name, prior, measurement, steps):
    row = METHODS[name]
    times = geometric_times(prior.sde, steps, row.sigma_min, row.sigma_max)
    settings = {k: jnp.float32(v) for k, v in row.settings.items()}
    return jax.jit(row.method(prior, times=times, **settings, **row.structure))(jax.random.key(1), measurement)


def disc(shape, channels):
    rows, columns = np.mgrid[: shape[0], : shape[1]] - np.array(shape).reshape(2, 1, 1) / 2 + 0.5
    image = 0.2 + 0.6 * (np.hypot(rows, columns) < 0.35 * shape[0])
    return jnp.asarray(np.stack([image, 0.5 * image][:channels], -1), jnp.float32)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", ["song2022", "dds", "ddnm"])
def test_kspace_is_imposed_on_real_and_complex_images(name, channels):
    shape = (24, 20)
    prior = channelwise(gaussian_prior(VESDE(0.01, 10.0), 0.3, 0.4, (*shape, 1)), channels)
    mask = equispaced_mask(shape, 3.0, 0.1)
    truth = disc(shape, channels)
    measurement = simulate(jax.random.key(0), LinearOperator(mask, FourierTransform(channels)), truth, 0.0)
    x = run(name, prior, measurement, 30)
    assert x.shape == truth.shape
    assert residual(measurement, x) < 1e-5


SHAPE, TAU, MEAN = (16, 16), 0.3, 0.4


def sinogram(noise_std):
    """A disc from nine views; the norm of A is about 12."""
    operator = LinearOperator(jnp.ones((9, 1)), radon_transform(uniform_angles(9), SHAPE))
    return simulate(jax.random.key(0), operator, disc(SHAPE, 1), noise_std)


def samples(name, measurement, count=32, **changes):
    """Images [count, H W] by one method in 200 steps."""
    row = METHODS[name]
    prior = gaussian_prior(VESDE(0.01, 10.0), TAU, MEAN, (*SHAPE, 1))
    times = geometric_times(prior.sde, min(row.steps, 200), row.sigma_min, row.sigma_max)
    settings = {k: jnp.float32(v) for k, v in (row.settings | changes).items()}
    reconstruct = row.method(prior, times=times, **settings, **row.structure)
    x = compile_long(jax.vmap(reconstruct, (0, None)))(jax.random.split(jax.random.key(1), count), measurement)
    return np.asarray(x, np.float64).reshape(count, -1)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("pigdm", {"data_std": TAU}),
        pytest.param("diffpir", {}, marks=pytest.mark.slow),
        pytest.param("split_gibbs", {}, marks=pytest.mark.slow),
    ],
)
def test_samples_given_a_noisy_sinogram_are_the_posterior_of_the_dense_matrix(name, changes):
    """Along the singular vectors of A: mean within its sampling error, spread within 6 % of the prior's."""
    noise_std, measurement = 0.3, sinogram(0.3)
    matrix = np.asarray(
        jax.jit(jax.vmap(lambda e: measurement.operator(e.reshape(*SHAPE, 1)).ravel()))(jnp.eye(256)), np.float64
    ).T
    _, singular, directions = np.linalg.svd(matrix)
    strength = np.pad(singular, (0, 256 - singular.size))
    variance = 1 / (1 / TAU**2 + (strength / noise_std) ** 2)
    residue = np.ravel(measurement.y) - matrix @ np.full(256, MEAN)
    mean = MEAN + directions.T @ (variance * (directions @ matrix.T @ residue) / noise_std**2)
    deviation = (samples(name, measurement, **changes) - mean) @ directions.T / TAU
    spread, expected = deviation.std(0, ddof=1), np.sqrt(variance) / TAU
    for group in (strength > 2, (strength > 1e-3) & (strength <= 2), strength <= 1e-3):
        rms = {k: np.sqrt(np.mean(v[group] ** 2)) for k, v in (("spread", spread), ("expected", expected))}
        assert abs(rms["spread"] - rms["expected"]) < 0.08
        bias = np.sqrt(np.mean(deviation.mean(0)[group] ** 2))
        assert bias < 1.4 * rms["expected"] / np.sqrt(32)


RADON = [pytest.param(name, marks=[] if name == "dds" else pytest.mark.slow) for name in METHODS]


@pytest.mark.parametrize("name", RADON)
def test_settings_published_for_norm_one_are_stable_on_sinograms(name):
    measurement = sinogram(0.3)
    x = samples(name, measurement, 4)
    assert np.all(np.isfinite(x)) and x.std() < 1.0
    assert residual(measurement, jnp.float32(x.mean(0).reshape(*SHAPE, 1))) < 0.08
