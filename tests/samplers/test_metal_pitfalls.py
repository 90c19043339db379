"""What goes wrong in metal artifact removal, by name: each has a test on a scan with real beam hardening."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known_posteriors import compile_long, gaussian_prior

from scoreinv.baselines.li import li
from scoreinv.baselines.nmar import nmar, nmar_start
from scoreinv.operators.base import LinearOperator, simulate
from scoreinv.operators.ct import radon_transform, uniform_angles
from scoreinv.operators.mar import metal_free_mask, remove_metal
from scoreinv.samplers.dpir import dpir
from scoreinv.samplers.song2022 import song2022
from scoreinv.samplers.times import geometric_times, linear_times
from scoreinv.sde import VESDE
from scoreinv.simulation import implants, metal
from scoreinv.simulation.phantoms import ellipses
from scoreinv.simulation.polychromatic import HounsfieldWindow

N, VIEWS, PIXEL_MM, KEY = 24, 24, 12.0, jax.random.key(1)
WINDOW = HounsfieldWindow()
# Soft tissue with two thick bones: intensity, semi-axes, centre, angle. The prior's mean is the soft tissue.
BODY = jnp.array([[0.5, 0.85, 0.75, 0, 0, 0], [0.4, 0.2, 0.2, -0.5, 0, 0], [0.4, 0.2, 0.2, 0.5, 0, 0]])
TAU = 0.15
PRIOR = gaussian_prior(VESDE(0.01, 10.0), TAU, ellipses((N, N), BODY[:1]), (N, N, 1))


def scan(detectors=0, hardening=False):
    """Titanium in the body, scanned; `hardening` leaves out the water correction but for its scale."""
    operator = LinearOperator(jnp.ones((VIEWS, 1)), radon_transform(uniform_angles(VIEWS), (N, N), detectors))
    share = implants.metal_share(implants.SHAPES["disc"], (N, N), PIXEL_MM, 40.0, (0.0, -60.0))
    beam = metal.beam(120.0, "titanium", 1e8, PIXEL_MM)
    if hardening:
        beam = beam.replace(correction=beam.correction.at[1:].set(0.0))
    return metal.metal_scan(jax.random.key(0), operator, ellipses((N, N), BODY), share, beam, WINDOW)


@pytest.fixture(scope="module")
def scanned():
    return scan()


@compile_long
def paper(measurement, lam):
    """The paper's sampler as it is set for all views, without a corrector, in 2000 steps."""
    times = linear_times(PRIOR.sde, 2000, 0.01, 10.0)
    return song2022(PRIOR, times=times, snr=0.0, lam=lam, corrector_steps=0)(KEY, measurement)


@jax.jit
def fast(measurement, lam):
    times = geometric_times(PRIOR.sde, 24, 0.01, 0.4)
    return dpir(PRIOR, times=times, churn=0.3, momentum=0.5, lam=lam, start=nmar_start)(KEY, measurement)


def errors(x, scanned):
    """|x - truth| with metal zeroed, [H, W]."""
    return np.abs(np.asarray(remove_metal(x - scanned.truth, scanned.metal)))[..., 0]


def rms(x, scanned):
    return float(np.sqrt(np.mean(errors(x, scanned) ** 2)))


@pytest.mark.slow
def test_no_bright_spots_grow_at_the_edges_of_the_metal_trace(scanned):
    """At lam = 1, the worst case, 2000 steps leave no pixel farther from the truth than the prior allows.

    With the rays through metal left in, they do.
    """
    assert errors(paper(scanned.measurement, 1.0), scanned).max() < 5 * TAU
    everything = scanned.measurement.operator.replace(mask=jnp.ones_like(scanned.measurement.operator.mask))
    inconsistent = scanned.measurement._replace(operator=everything)
    assert errors(paper(inconsistent, 1.0), scanned).max() > 5 * TAU


METHODS = {
    "li": jax.jit(li()),
    "nmar": jax.jit(nmar()),
    "dpir": lambda _, m: fast(m, 0.3),
    "song2022": lambda _, m: paper(m, 1.0),
}


@pytest.mark.parametrize("name", METHODS)
def test_consistency_uses_only_rays_outside_the_trace(scanned, name):
    y, operator, _ = scanned.measurement
    dirty = scanned.measurement._replace(y=jnp.where(operator.mask > 0, y, 1e3))
    np.testing.assert_array_equal(METHODS[name](KEY, dirty), METHODS[name](KEY, scanned.measurement))


def test_beam_hardening_outside_the_trace_does_not_destroy_the_image(scanned):
    """Without a water correction rays are short by far more than noise; the noise level knows, and lam = 1 holds."""
    hard = scan(hardening=True)
    y, operator, noise_std = hard.measurement
    actual = float(jnp.sqrt(jnp.sum((y - operator(hard.truth)) ** 2) / jnp.sum(operator.mask)))
    assert 0.5 < float(noise_std) / actual < 2.0
    assert float(noise_std) > 3 * float(scanned.measurement.noise_std)
    assert rms(fast(hard.measurement, 1.0), hard) < TAU


@pytest.mark.parametrize("detectors", [18, 48])
def test_truncated_and_padded_detectors(detectors):
    """A detector narrower than the body and one wider than the image: better than interpolation."""
    transform = radon_transform(uniform_angles(VIEWS), (N, N), detectors)
    body, implant = ellipses((N, N), BODY), jnp.zeros((N, N)).at[15:19, 10:14].set(1.0)
    operator = LinearOperator(jax.jit(metal_free_mask)(transform, implant), transform)
    measurement = simulate(KEY, operator, body, 0.05)
    assert measurement.y.shape == (VIEWS, detectors)
    error = {name: float(jnp.linalg.norm(METHODS[name](KEY, measurement) - body)) for name in ("dpir", "li")}
    assert error["dpir"] < error["li"]
