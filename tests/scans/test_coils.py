"""Coils: sensitivities by ESPIRiT of a phantom with known ones, calibration regions, compression."""

import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.operators import mri
from scoreinv.scans import coils
from scoreinv.scans.kspace import KSpaceSettings, gridded, kspace_scan, retrospective_scan
from tests.scans.test_kspace import COILS, MAPS, SHAPE, complex_noise, disc, fft2c, lines, sensitivities

IMAGE = disc()
OBJECT = np.abs(IMAGE) > 0
FULL = (fft2c(MAPS * IMAGE) + 0.002 * complex_noise(0, COILS, *SHAPE)).astype(np.complex64)


def agreement(maps, true):
    """|<s, s'>| of unit vectors at each pixel of the object."""
    return np.abs(np.sum(np.conj(maps) * true, 0))[OBJECT]


def test_espirit_finds_the_sensitivities_of_a_phantom():
    maps, strength = coils.espirit(jnp.asarray(FULL[:, 12:36, 8:32]), SHAPE)
    assert agreement(maps[0], MAPS).min() > 0.995
    assert np.asarray(strength[0])[OBJECT].min() > 0.95 and np.asarray(strength[1])[OBJECT].max() < 0.8


def test_espirit_against_sigpy():
    app = pytest.importorskip("sigpy.mri.app")
    expected = app.EspiritCalib(FULL, calib_width=24, kernel_width=6, thresh=0.02, crop=0, show_pbar=False).run()
    maps, _ = coils.espirit(jnp.asarray(FULL[:, 12:36, 8:32]), SHAPE)
    assert agreement(maps[0], expected).min() > 0.999


def test_an_object_larger_than_the_field_of_view_needs_two_sets():
    """Twice as wide an object, every second column: each pixel sees two places, with sensitivities of each."""
    wide = (SHAPE[0], 2 * SHAPE[1])
    image = np.ones(wide) * np.exp(1j * np.linspace(0, 1, wide[1]))
    folded = fft2c(sensitivities(shape=wide) * image)[..., ::2]
    noisy = (folded + 0.002 * complex_noise(0, *folded.shape)).astype(np.complex64)
    scan = kspace_scan("scan", {"kspace": noisy}, KSpaceSettings())
    assert "2 sets" in "; ".join(scan.notes)
    operator, y = scan.measurement.operator, scan.measurement.y
    explained = float(jnp.linalg.norm(operator(operator.pseudo_inverse(y)) - y) / jnp.linalg.norm(y))
    alone = operator.replace(transform=mri.SenseTransform(operator.transform.coils[0], 2))
    by_one = float(jnp.linalg.norm(alone(alone.pseudo_inverse(y)) - y) / jnp.linalg.norm(y))
    assert explained < 0.5 * by_one


@pytest.mark.parametrize(
    ("mask", "most", "region"),
    [
        (np.ones(SHAPE, bool), 24, (12, 36, 8, 32)),
        (np.broadcast_to(lines() > 0, SHAPE), 32, (8, 40, 16, 24)),
        (np.arange(48)[:, None] + np.zeros((1, 40)) > 20, 16, (21, 37, 12, 28)),
        (np.zeros(SHAPE, bool), 32, (24, 24, 20, 20)),
    ],
    ids=["full", "lines", "half", "nothing"],
)
def test_the_calibration_region_is_what_is_measured_about_the_zero_frequency(mask, most, region):
    rows, columns = coils.calibration_region(mask, most)
    found = (rows.start, rows.stop, columns.start, columns.stop)
    assert mask[rows, columns].all() and max(rows.stop - rows.start, columns.stop - columns.start) <= most
    assert np.abs(np.subtract(found, region)).max() <= 1


def test_compression_keeps_the_energy_of_coils_that_see_the_same():
    mixing = np.linalg.qr(complex_noise(2, 10, 10))[0][:, :COILS]
    many = np.einsum("ab,bhw->ahw", mixing, FULL).astype(np.complex64)
    fewer = coils.compressed(many, COILS)
    np.testing.assert_allclose(np.linalg.norm(fewer), np.linalg.norm(many), rtol=1e-5)
    power = np.abs(np.fft.ifft2(fewer)) ** 2, np.abs(np.fft.ifft2(many)) ** 2
    np.testing.assert_allclose(power[0].sum(0), power[1].sum(0), atol=1e-5)
    scan = kspace_scan("scan", {"kspace": many}, KSpaceSettings(virtual_coils=COILS))
    assert len(scan.measurement.y) == COILS and "10 coils compressed to 4" in "; ".join(scan.notes)


def test_without_a_measured_centre_coil_images_are_reconstructed_one_by_one():
    mask = np.zeros(SHAPE, np.float32)
    mask[:, ::2] = 1
    scan = kspace_scan("scan", {"kspace": FULL * mask}, KSpaceSettings())
    assert "root sum of squares" in "; ".join(scan.notes)
    operator, y = scan.measurement.operator, scan.measurement.y
    image = operator.inverse(y)
    assert image.shape == (*SHAPE, 2 * COILS)
    expected = np.linalg.norm(np.asarray(mri.ifft2c(jnp.asarray(FULL * mask))), axis=0) / scan.scale
    np.testing.assert_allclose(np.linalg.norm(image, axis=-1), expected, atol=1e-5)


def test_a_study_of_a_full_scan_compares_with_all_of_it():
    settings = KSpaceSettings()
    full = gridded({"kspace": FULL}, settings)
    mask = np.broadcast_to(lines() > 0, SHAPE)
    scan, image = retrospective_scan("scan", full, mask, settings)
    np.testing.assert_array_equal(scan.measurement.operator.mask, mask)
    np.testing.assert_array_equal(np.asarray(scan.measurement.y)[:, ~mask], 0)
    magnitude = scan.scale * np.linalg.norm(image, axis=-1)
    rss = np.linalg.norm(np.asarray(mri.ifft2c(jnp.asarray(FULL))), axis=0)
    np.testing.assert_allclose(magnitude[OBJECT], rss[OBJECT], atol=0.02)
    assert "combined by the same sensitivities" in scan.notes[-1]
    # A second look at what is left of it must not find more.
    alone = kspace_scan("scan", {"kspace": FULL * mask}, settings)
    np.testing.assert_allclose(scan.measurement.y, alone.measurement.y, atol=1e-6)
    with pytest.raises(ValueError, match="only 45 % of k-space is measured"):
        retrospective_scan("scan", gridded({"kspace": FULL * mask}, settings), mask, settings)


@pytest.mark.parametrize("mask", [lines()[None], lines(SHAPE[0])[:, None]], ids=["columns", "rows"])
def test_data_without_the_transform_along_readouts_have_the_same_normal_equations(mask):
    scan = kspace_scan("scan", {"kspace": FULL * mask, "coils": MAPS}, KSpaceSettings())
    operator, y = scan.measurement.operator, scan.measurement.y
    assert len(operator.transform.axes) == 1
    whole = operator.replace(transform=operator.transform.replace(axes=(-2, -1)))
    kspace = jnp.asarray(FULL * mask) / scan.scale
    x = jnp.asarray(np.stack([IMAGE.real, IMAGE.imag], -1), jnp.float32)
    np.testing.assert_allclose(operator.normal(x), whole.normal(x), atol=1e-5)
    np.testing.assert_allclose(operator.adjoint(y), whole.adjoint(kspace), atol=1e-5)
