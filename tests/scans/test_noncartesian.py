"""Radial and spiral data, as files have them, come out as the object that made them."""

import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.operators import noncartesian
from scoreinv.scans.kspace import KSpaceSettings
from scoreinv.scans.trajectories import noncartesian_scan
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
