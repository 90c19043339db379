"""Implants, their partial volume, and the measurement that a scan with metal makes."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.operators.base import LinearOperator, check_measurement
from scoreinv.operators.ct import radon_transform, uniform_angles
from scoreinv.simulation import implants, metal
from scoreinv.simulation.phantoms import random_ellipses
from scoreinv.simulation.polychromatic import HounsfieldWindow

PORT = Path(__file__).parents[3] / "shared/data/ct/metal_port_dicom/derived_masks_gt2200HU.npz"
PIXEL_MM = 6.0


@pytest.fixture(scope="module")
def scanned():
    operator = LinearOperator(jnp.ones((24, 1)), radon_transform(uniform_angles(24), (32, 32)))
    share = implants.metal_share(implants.SHAPES["disc"], (32, 32), PIXEL_MM, 20, (12, -6))
    beam = metal.beam(120, "steel", 1e6, PIXEL_MM)
    image = random_ellipses(jax.random.key(1), (32, 32))
    return operator, share, metal.metal_scan(jax.random.key(0), operator, image, share, beam, HounsfieldWindow())


@pytest.mark.parametrize("name", implants.SHAPES)
def test_shapes_are_about_one_across(name):
    share = implants.metal_share(implants.SHAPES[name], (64, 64), 1.0, 40)
    rows, columns = np.nonzero(share)
    across = max(np.ptp(rows), np.ptp(columns)) / implants.FACTOR
    assert 0.8 * 40 <= across <= 1.25 * 40
    assert 0 < share.mean() < 0.35


def test_a_disc_has_its_area_and_partial_pixels_at_its_edge():
    share = implants.metal_share(implants.SHAPES["disc"], (32, 32), 2.0, 17.0, (5.0, -9.0))
    area = share.sum() * (2.0 / implants.FACTOR) ** 2
    np.testing.assert_allclose(area, np.pi * 17.0**2 / 4, rtol=0.01)
    rows, columns = np.mgrid[:64, :64]
    centre = [(axis * share).sum() / share.sum() for axis in (rows, columns)]
    np.testing.assert_allclose(centre, [31.5 + 9.0, 31.5 + 5.0], atol=0.05)
    assert np.any((share > 0) & (share < 1)) and share.max() == 1


def test_an_own_image_of_metal_keeps_its_shape(tmp_path):
    image = np.zeros((40, 50), np.uint8)
    image[10:14, 20:40] = 1
    for path in (tmp_path / "own.npy", tmp_path / "own.npz"):
        np.save(path, image) if path.suffix == ".npy" else np.savez(path, image)
        share = implants.metal_share(implants.read_shape(str(path)), (32, 32), 1.0, 10.0)
        rows, columns = np.nonzero(share)
        assert np.ptp(columns) + 1 == 20 and 4 <= np.ptp(rows) + 1 <= 5
        np.testing.assert_allclose(share.sum() / 4, 10.0 * 2.0, rtol=0.05)


@pytest.mark.skipif(not PORT.is_file(), reason=f"SKIPPED: {PORT} is not here")
def test_the_shape_of_a_real_port():
    share = implants.metal_share(implants.read_shape(str(PORT)), (64, 64), 2.0, 100.0)
    assert 0 < share.mean() < 0.1


MISTAKES = [
    (lambda p: implants.read_shape("hipp"), "unknown operator.metal 'hipp'; choose one of disc, fillings, hip"),
    (lambda p: implants.read_shape(str(p / "none.npy")), "does not exist"),
    (lambda p: (np.save(p / "a.npy", np.zeros((4, 4))), implants.read_shape(str(p / "a.npy"))), "give 0/1|give a 0/1"),
    (lambda p: ((p / "b.npz").write_bytes(b"no"), implants.read_shape(str(p / "b.npz"))), "cannot read"),
    (
        lambda p: implants.metal_share(implants.SHAPES["disc"], (8, 8), 1.0, 2.0, (50.0, 0.0)),
        "no metal inside the image",
    ),
    (lambda p: metal.beam(120, "titanium", 0, 1.0), "0 photons"),
    (lambda p: metal.beam(120, "titanium", 1e6, 0.0), "pixels of 0 mm"),
]


@pytest.mark.parametrize(("call", "message"), MISTAKES, ids=[m[1][:20] for m in MISTAKES])
def test_mistakes_get_one_line(call, message, tmp_path):
    with pytest.raises(ValueError, match=message) as error:
        call(tmp_path)
    assert "\n" not in str(error.value)


def test_the_measurement_leaves_out_every_ray_through_metal(scanned):
    operator, share, scan = scanned
    measurement = scan.measurement
    check_measurement(measurement, (32, 32, 1))
    fine = radon_transform(uniform_angles(24), share.shape, 2 * operator.transform.detectors)
    through = np.asarray(fine.forward(jnp.asarray(share)[..., None])).reshape(24, -1, 2).max(-1) / 2
    mask = np.asarray(measurement.operator.mask)
    assert 0.5 < mask.mean() < 0.95
    assert through[mask > 0].max() < 0.05  # ringing of the projector; metal itself is crossed over 3 pixels
    assert np.all(np.asarray(measurement.y)[mask == 0] == 0)


def test_metal_is_what_is_there_and_what_was_segmented(scanned):
    _, share, scan = scanned
    touched = share.reshape(32, 2, 32, 2).max((1, 3)) > 0
    assert np.all(np.asarray(scan.metal[..., 0])[touched] == 1)
    assert touched.sum() < scan.metal.sum() < 5 * touched.sum()
    assert float(scan.uncorrected.max()) > 2.0 and float(scan.truth.min()) >= 24 / 2048 - 1e-6


def test_the_noise_level_covers_photons_and_the_error_of_the_linear_model(scanned):
    """Against the truth, which the estimate does not see."""
    operator, _, scan = scanned
    y, masked, noise_std = scan.measurement
    actual = np.asarray(y - masked(scan.truth))[np.asarray(masked.mask) > 0]
    assert 0.6 < float(noise_std) / np.sqrt(np.mean(actual**2)) < 1.8
    assert operator.mask.sum() == 24


def test_gaussian_noise_comes_on_top(scanned):
    operator, share, scan = scanned
    beam = metal.beam(120, "steel", 1e6, PIXEL_MM)
    image = random_ellipses(jax.random.key(1), (32, 32))
    louder = metal.metal_scan(jax.random.key(0), operator, image, share, beam, HounsfieldWindow(), noise_std=2.0)
    assert 1.9 < float(louder.measurement.noise_std) < 4.0
    assert float(louder.measurement.noise_std) > 1.5 * float(scan.measurement.noise_std)


def test_an_image_that_holds_metal_is_projected_without_the_rays_through_it():
    operator = LinearOperator(jnp.ones((24, 1)), radon_transform(uniform_angles(24), (32, 32)))
    image = jnp.full((32, 32, 1), 0.5).at[10:13, 18:20].set(2.0)  # 3072 HU in water
    window = HounsfieldWindow()
    scan = metal.reprojected(operator, image, window, 2200, 0.1)
    assert scan.truth is None
    np.testing.assert_array_equal(np.asarray(scan.metal[..., 0])[9:14, 17:21], 1)
    assert scan.metal.sum() == 20
    through = operator.transform.forward(scan.metal)
    assert np.all(np.asarray(through)[np.asarray(scan.measurement.operator.mask) > 0] < 0.5)
    np.testing.assert_allclose(scan.measurement.y, scan.measurement.operator.mask * operator(image), atol=1e-4)
    assert scan.uncorrected.max() == 1
    with pytest.raises(ValueError, match="brightest pixel is 3072 HU"):
        metal.reprojected(operator, image, window, 5000, 0.1)
