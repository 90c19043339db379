"""Radial and spiral data, as files have them, come out as the object that made them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv import build
from scoreinv.build.fields import default_config
from scoreinv.operators import noncartesian
from scoreinv.prior import Prior
from scoreinv.scans.kspace import KSpaceSettings
from scoreinv.scans.trajectories import noncartesian_scan
from scoreinv.sde import VESDE
from tests.scans.test_kspace import complex_noise, disc, sensitivities

pytest.importorskip("jax_finufft")
SIDE, SPOKES, SAMPLES, COILS = 32, 60, 64, 4
OBJECT = disc((SIDE, SIDE))


def spokes():
    angles = np.pi * np.arange(SPOKES)[:, None] / SPOKES
    radius = (np.arange(SAMPLES) - SAMPLES // 2) / SAMPLES
    return np.stack([radius * np.cos(angles), radius * np.sin(angles)], -1).astype(np.float32)


@pytest.fixture(scope="module")
def arrays():
    """k-space [coils, spokes, samples] of the disc."""
    image = jnp.asarray(sensitivities(COILS, (SIDE, SIDE)) * OBJECT, jnp.complex64)
    samples = np.asarray(noncartesian.nufft(image, jnp.asarray(spokes().reshape(-1, 2))))
    noisy = samples + 0.001 * complex_noise(0, *samples.shape)
    kspace = noisy.reshape(COILS, SPOKES, SAMPLES).astype(np.complex64)
    return {"kspace": kspace, "trajectory": spokes(), "matrix": np.array([SIDE, SIDE])}


def image_of(scan):
    x = scan.scale * np.asarray(scan.measurement.operator.pseudo_inverse(scan.measurement.y))
    return np.linalg.norm(x, axis=-1)


def test_spokes_become_the_object(arrays):
    scan = noncartesian_scan("scan", arrays, KSpaceSettings())
    inside = np.abs(OBJECT) > 0
    error = np.linalg.norm((image_of(scan) - np.abs(OBJECT))[inside]) / np.linalg.norm(OBJECT)
    assert error < 0.12
    assert "density compensation computed" in scan.notes


@pytest.mark.slow
def test_coils_are_prewhitened_and_compressed(arrays):
    """Six coils of two signals: two virtual ones hold them, and their noise is white."""
    mixing = complex_noise(1, 6, COILS)[:, :2] @ np.eye(2, COILS)
    kspace = np.einsum("ac,csk->ask", mixing, arrays["kspace"]).astype(np.complex64)
    noise = 0.01 * np.diag([1, 2, 3, 1, 2, 3]) @ complex_noise(2, 6, 4000)
    many = {**arrays, "kspace": kspace, "noise": noise.astype(np.complex64)}
    scan = noncartesian_scan("scan", many, KSpaceSettings(virtual_coils=2))
    notes = "; ".join(scan.notes)
    assert "6 coils compressed to 2 virtual ones with 100.00 % of the energy" in notes and "prewhitened" in notes
    assert scan.measurement.y.shape == (2, SPOKES * SAMPLES)
    level = 0.01 * np.sqrt(np.mean(np.square([1, 2, 3, 1, 2, 3])))
    assert f"noise level {level:.3g}"[:-1] in notes


def test_given_sensitivities_are_taken(arrays):
    maps = sensitivities(COILS, (SIDE, SIDE))
    scan = noncartesian_scan("scan", {**arrays, "coils": maps}, KSpaceSettings(virtual_coils=2))
    np.testing.assert_array_equal(scan.measurement.operator.transform.coils, maps)
    with pytest.raises(ValueError, match=r"coils of shape \(4, 3, 3\) for 4 coils and an image of 32 x 32"):
        noncartesian_scan("scan", {**arrays, "coils": maps[:, :3, :3]}, KSpaceSettings())


@pytest.mark.slow
def test_every_method_takes_spokes_or_says_what_it_is_for(arrays):
    measurement = noncartesian_scan("scan", arrays, KSpaceSettings()).measurement
    prior = Prior(VESDE(), jax.tree_util.Partial(lambda x, t: -x), (SIDE, SIDE, 2))
    key = jax.random.key(0)
    for name in build.SAMPLERS:
        section = default_config().sampler
        section.update({"method": name, "steps": 2})
        make, settings = build.sampler(section, measurement)
        shape = jax.eval_shape(lambda p, s, m, k, make=make: make(p, s)(k, m), prior, settings, measurement, key).shape
        assert shape == (SIDE, SIDE, 2), name
    refused = []
    for name in build.BASELINES:
        try:
            method = build.baseline(default_config(), name)
            assert jax.eval_shape(lambda m, k, method=method: method(k, m), measurement, key).shape == (SIDE, SIDE, 2)
        except ValueError as error:
            assert "takes" in str(error) and "\n" not in str(error)
            refused.append(name)
    assert refused == ["fbp_hann", "li", "nmar", "sirt"]


@pytest.mark.parametrize("form", ["coils last, complex positions", "radians", "indices"])
def test_other_forms_of_the_same_data(arrays, form):
    expected = noncartesian_scan("scan", arrays, KSpaceSettings())
    k = arrays["trajectory"]
    other = {
        "coils last, complex positions": {
            "kspace": np.moveaxis(arrays["kspace"], 0, -1),
            "k": k[..., 0] + 1j * k[..., 1],
            "shape": np.array(SIDE),
        },
        "radians": {**arrays, "trajectory": 2 * np.pi * k},
        "indices": {**arrays, "trajectory": 64 * k},
    }[form]
    found = noncartesian_scan("scan", other, KSpaceSettings())
    np.testing.assert_allclose(image_of(found), image_of(expected), atol=0.02 * np.abs(OBJECT).max())


def test_the_matrix_is_asked_for_or_guessed_and_said(arrays):
    without = {name: a for name, a in arrays.items() if name != "matrix"}
    assert "scan.shape sets it" in "; ".join(noncartesian_scan("scan", without, KSpaceSettings()).notes)
    scan = noncartesian_scan("scan", without, KSpaceSettings(shape=(30, 28)))
    assert image_of(scan).shape == (30, 28)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kspace": np.zeros((3, 7), np.complex64)}, "kspace of shape"),
        ({"kspace": np.zeros((SPOKES, SAMPLES))}, "give complex samples"),
        ({"trajectory": np.zeros((5,))}, "trajectory of shape"),
        ({"weights": np.ones(3)}, "weights of shape"),
        ({"trajectory": np.full((SPOKES, SAMPLES, 2), np.nan)}, "NaN or Inf"),
    ],
)
def test_a_mistake_is_one_line(arrays, change, message):
    with pytest.raises(ValueError, match=message) as error:
        noncartesian_scan("scan", {**arrays, **change}, KSpaceSettings())
    assert "\n" not in str(error.value)
