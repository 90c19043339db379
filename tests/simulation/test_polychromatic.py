"""Image values, Hounsfield units and attenuation; beam hardening, partial volume and photon noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.operators.ct import radon_transform, uniform_angles
from scoreinv.simulation import metal, xray
from scoreinv.simulation.polychromatic import (
    HounsfieldWindow,
    scan,
    tissue_fractions,
    transmission,
    water_correction,
    water_length,
)

SHAPE, VIEWS, PIXEL_MM = (32, 32), 12, 8.0
WINDOW = HounsfieldWindow()
SCAN = jax.jit(scan, static_argnames="detectors")


@pytest.fixture(scope="module")
def transforms():
    coarse = radon_transform(uniform_angles(VIEWS), SHAPE)
    return coarse, radon_transform(uniform_angles(VIEWS), (64, 64), 2 * coarse.detectors)


def disc(radius, x0=0.0, y0=0.0, n=32):
    rows, columns = np.mgrid[:n, :n] - (n - 1) / 2
    return (np.hypot(columns - x0, rows + y0) <= radius).astype(np.float32)


def test_values_hounsfield_units_and_attenuation():
    # water, vacuum, cortical bone of 1.5 times water's attenuation, and the ends of the window
    hu = np.array([0.0, -1000.0, 500.0, -1024.0, 1024.0])
    values = np.array([0.5, 24 / 2048, 1524 / 2048, 0.0, 1.0])
    relative = np.array([1.0, 0.0, 1.5, -0.024, 2.024])
    np.testing.assert_allclose(WINDOW.to_hu(values), hu, atol=1e-9)
    np.testing.assert_allclose(WINDOW.from_hu(hu), values, atol=1e-12)
    np.testing.assert_allclose(WINDOW.to_relative(values), relative, atol=1e-12)
    np.testing.assert_allclose(WINDOW.from_relative(relative), values, atol=1e-12)


def test_the_sinogram_of_values_is_that_of_water_lengths(transforms):
    coarse, _ = transforms
    values = jnp.asarray(0.02 + 0.5 * disc(10, 3, -2))[..., None]
    water = coarse.forward(WINDOW.to_relative(values))
    np.testing.assert_allclose(WINDOW.sinogram(water, coarse), coarse.forward(values), atol=2e-4)


def test_transmission_is_beer_and_lamberts_law():
    lengths = jnp.asarray([[0.0, 1.0, 3.0], [0.0, 2.0, 0.5]])
    one = transmission(jnp.ones(1), jnp.asarray([[0.2], [0.5]]), lengths)
    np.testing.assert_allclose(one, np.exp([0.0, -1.2, -0.85]), rtol=1e-6)
    two = transmission(jnp.asarray([0.3, 0.7]), jnp.asarray([[0.2, 0.1], [0.5, 0.4]]), lengths)
    np.testing.assert_allclose(two, 0.3 * np.exp([0, -1.2, -0.85]) + 0.7 * np.exp([0, -0.9, -0.5]), rtol=1e-6)


def test_the_water_correction_straightens_water_and_not_bone():
    energy = xray.energies(120)
    signal = energy * xray.tube_spectrum(120)
    signal /= signal.sum()
    water, bone = (0.2 * xray.attenuation(name, energy) for name in ("water", "bone"))
    correction = jnp.asarray(water_correction(signal, water, 400.0), jnp.float32)

    def corrected(mu, lengths):
        return np.asarray(water_length(jnp.asarray(-np.log(np.exp(-np.outer(lengths, mu)) @ signal)), correction))

    lengths = np.linspace(0, 400, 57)
    np.testing.assert_allclose(corrected(water, lengths), lengths, atol=0.1)
    thin, thick = corrected(bone, np.array([5.0, 50.0])) / [5.0, 50.0]
    assert thick < 0.95 * thin


def test_tissue_is_water_and_bone_of_the_same_attenuation():
    relative = jnp.linspace(0, 4, 50)
    water, bone = tissue_fractions(relative, 2.6)
    np.testing.assert_allclose(water + 2.6 * bone, relative, atol=1e-6)
    assert np.all(np.asarray(bone)[np.asarray(relative) <= 1.1] == 0) and water.min() >= 0 and bone.max() > 1


def test_a_water_disc_is_scanned_to_its_chords(transforms):
    coarse, fine = transforms
    relative = jnp.asarray(disc(12))[..., None]
    beam = metal.beam(120, "titanium", 1e7, PIXEL_MM)
    delivered = SCAN(None, relative, jnp.zeros((64, 64)), fine, coarse.detectors, beam).water
    error = np.asarray(delivered - coarse.forward(relative))
    middle = slice(coarse.detectors // 2 - 9, coarse.detectors // 2 + 9)
    assert np.abs(error[:, middle]).max() < 0.3 and np.sqrt(np.mean(error**2)) < 0.15


def test_a_polychromatic_beam_hardens_in_metal_and_a_monochromatic_one_does_not(transforms):
    coarse, fine = transforms
    share = jnp.asarray(disc(10, n=64))
    poly = metal.beam(120, "titanium", 1e7, 1.0)
    mono = poly.replace(spectrum=jnp.zeros_like(poly.spectrum).at[60].set(1.0))
    per_length = {}
    for name, beam in (("poly", poly), ("mono", mono)):
        attenuation = jnp.stack([beam.water, beam.bone, beam.metal])
        lengths = jnp.zeros((3, 2)).at[2].set(jnp.asarray([1.0, 10.0]))
        per_length[name] = -np.log(transmission(beam.spectrum, attenuation, lengths)) / [1.0, 10.0]
    np.testing.assert_allclose(per_length["mono"][1], per_length["mono"][0], rtol=1e-5)
    assert per_length["poly"][1] < 0.9 * per_length["poly"][0]
    thick = SCAN(None, jnp.zeros((32, 32, 1)), share, fine, coarse.detectors, poly).water
    assert np.isfinite(thick).all()


def test_partial_volume_averages_the_signal_and_not_the_attenuation(transforms):
    """A bin half behind metal: its attenuation is below the mean of its halves (Jensen), not equal to it."""
    coarse, fine = transforms
    beam = metal.beam(120, "titanium", 1e7, 1.0)
    share = jnp.zeros((64, 64)).at[20:44, 33:60].set(1.0)  # at angle 0 the edge halves a detector bin
    averaged = SCAN(None, jnp.zeros((32, 32, 1)), share, fine, coarse.detectors, beam).water[0]
    lengths = jnp.zeros((3, 2 * coarse.detectors)).at[2].set(jnp.maximum(fine.forward(share[..., None])[0], 0) / 2)
    passed = transmission(beam.spectrum, jnp.stack([beam.water, beam.bone, beam.metal]), lengths)
    linear = np.asarray(water_length(-jnp.log(passed), beam.correction)).reshape(-1, 2).mean(1)
    gap = linear - np.asarray(averaged)
    assert gap.max() > 1 and gap.min() > -0.05 * gap.max()
    position = int(gap.argmax()) - (coarse.detectors - 1) / 2
    assert min(abs(position - 0.5), abs(position - 14)) <= 1


def test_photon_noise_has_the_spread_it_declares(transforms):
    coarse, fine = transforms
    relative = jnp.asarray(disc(12))[..., None]
    beam = metal.beam(120, "titanium", 1e5, PIXEL_MM)
    keys = jax.random.split(jax.random.key(0), 64)
    draws = jax.vmap(lambda key: SCAN(key, relative, jnp.zeros((64, 64)), fine, coarse.detectors, beam))(keys)
    spread = np.asarray(draws.water.std(0))
    expected = np.asarray(SCAN(None, relative, jnp.zeros((64, 64)), fine, coarse.detectors, beam).std)
    assert abs(np.mean(spread**2) / np.mean(expected**2) - 1) < 0.1
    fewer = SCAN(None, relative, jnp.zeros((64, 64)), fine, coarse.detectors, beam.replace(photons=jnp.float32(1e3)))
    np.testing.assert_allclose(fewer.std, 10 * expected, rtol=1e-3)


def test_starved_rays_stay_finite(transforms):
    coarse, fine = transforms
    beam = metal.beam(120, "gold", 1e4, PIXEL_MM)
    delivered = SCAN(
        jax.random.key(0), jnp.ones((32, 32, 1)), jnp.asarray(disc(20, n=64)), fine, coarse.detectors, beam
    )
    assert np.isfinite(delivered.water).all() and np.isfinite(delivered.std).all()
