"""Metal in measured sinograms: polychromatic scans of a known object, with photon noise, parallel and of a fan."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from scoreinv.baselines.li import li
from scoreinv.operators.geometry import BeamGeometry, projector
from scoreinv.scans.ct_geometry import GeometrySettings
from scoreinv.scans.ct_readings import SinogramSettings
from scoreinv.scans.hounsfield import WATER
from scoreinv.scans.sinogram import sinogram_scan
from scoreinv.simulation import metal, polychromatic
from tests.scans.ellipses import image

SIDE, PIXEL, COLUMNS, VIEWS = 48, 2.0, 90, 120
BEAMS = {
    "parallel": BeamGeometry(np.pi * np.arange(VIEWS) / VIEWS, (SIDE, SIDE), COLUMNS, PIXEL, PIXEL),
    "fan": BeamGeometry(2 * np.pi * np.arange(VIEWS) / VIEWS, (SIDE, SIDE), COLUMNS, PIXEL, 3.4, None, 300.0, 500.0),
}
LI = jax.jit(lambda measurement: li()(jax.random.key(0), measurement))
RELATIVE = jnp.asarray(image(SIDE))  # attenuation relative to water: a body, a lung, a bone


def share():
    """A steel pin of 3.5 pixels, on pixels half as wide."""
    c = np.arange(2 * SIDE) - (2 * SIDE - 1) / 2
    return jnp.asarray(np.hypot(c - 12, c[:, None] + 20) < 3.5, jnp.float32)


@pytest.fixture(scope="module", params=["parallel", pytest.param("fan", marks=pytest.mark.slow)])
def arrays(request):
    beam = BEAMS[request.param]
    transform = projector(beam)
    tube = metal.beam(120.0, "iron", 1e6, PIXEL)
    readings = jax.jit(polychromatic.scan, static_argnums=4)(
        jax.random.key(0), RELATIVE, share(), transform.finer(2).rays, COLUMNS, tube
    )
    found = {"sinogram": WATER * PIXEL * np.asarray(readings.water), "angles": beam.angles, "water": np.array(WATER)}
    lengths = ("pixel", "source_to_axis", "source_to_detector")
    found |= {name: np.array(getattr(beam, name)) for name in lengths if getattr(beam, name)}
    return found | {"detector_pitch": np.array(beam.pitch), "shape": np.array(SIDE)}


def scan_of(arrays, threshold):
    return sinogram_scan("scan", arrays, SinogramSettings(metal=threshold, geometry=GeometrySettings()))


def test_metal_is_found_its_rays_are_left_out_and_the_rest_is_less_wrong(arrays):
    scan = scan_of(arrays, 3000.0)
    true, found = np.asarray(share()).reshape(SIDE, 2, SIDE, 2).mean((1, 3)), np.asarray(scan.metal)[..., 0]
    assert found[true > 0.5].all() and not found[~binary_dilation(true > 0, np.ones((3, 3)), 2)].any()
    assert scan.unit == "HU" and "of the rays are left out" in scan.notes[-1]
    assert 0.02 < 1 - np.asarray(scan.measurement.operator.mask).mean() < 0.2
    outside = found == 0
    hu = 1000 * (np.asarray(RELATIVE)[..., 0] - 1)

    def rmse(x):
        return np.sqrt(np.mean((scan.scale * np.asarray(x)[..., 0] + scan.offset - hu)[outside] ** 2))

    # HU: an uncorrected image of averages over pixels is nearer than the one of squares was (115 and 217 for the fan).
    assert rmse(LI(scan.measurement)) < min(100.0, 0.85 * rmse(scan.uncorrected))


def test_without_a_window_the_scale_is_that_of_the_tissue(arrays):
    plain = {name: value for name, value in arrays.items() if name != "water"}
    scan, whole = scan_of(plain, 4 * WATER), scan_of(plain, 0.0)
    assert scan.unit == "1/mm" and whole.metal is None
    assert scan.scale < 2.5 * WATER < whole.scale
    middle = scan.scale * np.asarray(LI(scan.measurement))[22:26, 30:34].mean()
    np.testing.assert_allclose(middle, WATER, rtol=0.1)


@pytest.mark.parametrize(("threshold", "message"), [(50_000.0, "nothing in the image"), (-100.0, "% of the")])
def test_a_threshold_that_finds_nothing_or_everything_is_refused(arrays, threshold, message):
    with pytest.raises(ValueError, match=message) as error:
        scan_of(arrays, threshold)
    assert "\n" not in str(error.value)
