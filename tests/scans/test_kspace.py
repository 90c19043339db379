"""K-space as users save it comes out as the documented layout does, and says what was done; noise and units."""

import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.scans import noise
from scoreinv.scans.kspace import KSpaceSettings, kspace_scan

SHAPE, COILS = (48, 40), 4


def disc(shape=SHAPE, radius=0.55):
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    inside = (rows / 0.8) ** 2 + columns**2 < radius**2
    return inside * (0.6 + 0.3 * np.cos(9 * rows) * np.sin(7 * columns)) * np.exp(1j * (rows + 0.7 * columns))


def sensitivities(coils=COILS, shape=SHAPE):
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    angles = 2 * np.pi * np.arange(coils)[:, None, None] / coils
    maps = np.exp(-((columns - np.cos(angles)) ** 2 + (rows - np.sin(angles)) ** 2) / 1.5 + 1j * (angles + 0.8 * rows))
    return (maps / np.linalg.norm(maps, axis=0)).astype(np.complex64)


def fft2c(x):
    axes = (-2, -1)
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(x, axes), norm="ortho"), axes)


def lines(n=SHAPE[1], every=3, centre=8):
    mask = np.zeros(n, np.float32)
    mask[1::every] = 1
    mask[n // 2 - centre // 2 : n // 2 + centre // 2] = 1
    return mask


def complex_noise(seed, *shape):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def measured(mask=None, coils=0, std=0.01):
    image = disc() if not coils else sensitivities(coils) * disc()
    mask = lines()[None] if mask is None else mask
    return ((fft2c(image) + std * complex_noise(0, *image.shape)) * mask).astype(np.complex64)


K, MASK = measured(), lines()[None]
MULTI, MAPS = measured(coils=COILS), sensitivities()
ROWS = measured(lines(SHAPE[0])[:, None])
SQUARE = lines(SHAPE[0])
shift = np.fft.ifftshift
# name: (arrays as saved, arrays in the documented layout, words of the note)
LAYOUTS = {
    "no mask": ({"kspace": K}, {"kspace": K, "mask": MASK}, ""),
    "mask of one axis": ({"kspace": K, "mask": MASK[0]}, {"kspace": K}, ""),
    "bool mask": ({"kspace": K, "mask": MASK[0] > 0}, {"kspace": K}, ""),
    "mask of one axis along the rows": ({"kspace": ROWS, "mask": lines(SHAPE[0])}, {"kspace": ROWS}, "read as rows"),
    "mask in FFT order": ({"kspace": K, "mask": shift(MASK, 1)}, {"kspace": K}, "read as FFT order"),
    "transposed mask": ({"kspace": K, "mask": MASK.T}, {"kspace": K}, "read as transposed"),
    "mask of three axes": (
        {"kspace": MULTI, "coils": MAPS, "mask": np.broadcast_to(MASK, MULTI.shape) > 0},
        {"kspace": MULTI, "coils": MAPS},
        "",
    ),
    "mask of slices": ({"kspace": K, "mask": np.broadcast_to(MASK[None], (1, 1, SHAPE[1]))}, {"kspace": K}, ""),
    "zero frequency in the corner": (
        {"kspace": shift(K), "mask": shift(MASK, 1)},
        {"kspace": K},
        "shifted to the middle",
    ),
    "zero frequency in the corner, centred mask": ({"kspace": shift(K), "mask": MASK}, {"kspace": K}, "shifted"),
    "one axis in FFT order": ({"kspace": shift(K, 0)}, {"kspace": K}, "of the rows"),
    "origin of the image in the corner": (
        {"kspace": (np.fft.fftshift(np.fft.fft2(disc(), norm="ortho")) * MASK).astype(np.complex64)},
        {"kspace": measured(std=0.0)},
        "image's origin",
    ),
    "coils last": (
        {"kspace": np.moveaxis(MULTI, 0, -1), "coils": np.moveaxis(MAPS, 0, -1)},
        {"kspace": MULTI, "coils": MAPS},
        "[H, W, coils]",
    ),
    "maps with the origin in the corner": (
        {"kspace": MULTI, "coils": shift(MAPS, (1, 2))},
        {"kspace": MULTI, "coils": MAPS},
        "origin in the corner",
    ),
    "one coil, last": ({"kspace": K[..., None]}, {"kspace": K}, "[H, W, coils]"),
    "one set of maps": ({"kspace": MULTI, "coils": MAPS[None]}, {"kspace": MULTI, "coils": MAPS}, ""),
    "leading axes": ({"kspace": MULTI[None, None], "coils": MAPS}, {"kspace": MULTI, "coils": MAPS}, ""),
    "slices": (
        {"kspace": np.stack([0 * MULTI, MULTI, 2 * MULTI]), "coils": MAPS},
        {"kspace": MULTI, "coils": MAPS},
        "slice_index 1 of 3",
    ),
    "real and imaginary part": ({"kspace": np.stack([K.real, K.imag], -1)}, {"kspace": K}, "real and imaginary"),
    "arrays that are not understood": (
        {"kspace": K, "field_map": MAPS, "te": np.ones(1)},
        {"kspace": K},
        "not used: field_map, te",
    ),
    "another name of the maps": ({"kspace": MULTI, "sens": MAPS}, {"kspace": MULTI, "coils": MAPS}, ""),
}


def scan_of(arrays, **settings):
    return kspace_scan("scan", arrays, KSpaceSettings(**settings))


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_recognised_and_said(name):
    saved, documented, words = LAYOUTS[name]
    found, expected = scan_of(saved), scan_of(documented)
    notes = "; ".join(found.notes)
    assert words in notes and (words or len(found.notes) == 1)  # the noise level is always said
    y, like = found.measurement.y * found.scale, expected.measurement.y * expected.scale
    np.testing.assert_allclose(y, like, atol=2e-5)
    masks = [np.broadcast_to(s.measurement.operator.mask, SHAPE) for s in (found, expected)]
    np.testing.assert_array_equal(*masks)
    assert type(found.measurement.operator.transform) is type(expected.measurement.operator.transform)


MISTAKES = {
    "real": ({"kspace": np.abs(K)}, {}, "real ones are no k-space"),
    "one axis": ({"kspace": K[0]}, {}, "kspace is complex64 of shape"),
    "seven axes": ({"kspace": K[None, None, None, None, None]}, {}, "kspace is complex64 of shape"),
    "no such slice": ({"kspace": MULTI[None]}, {"slice_index": 3}, "slice_index=3, but kspace of shape"),
    "NaN": ({"kspace": np.where(np.abs(K) > 1, np.nan, K)}, {}, "NaN or Inf in"),
    "zeros": ({"kspace": 0 * K}, {}, "zeros only"),
    "maps of other coils": ({"kspace": MULTI, "coils": MAPS[:3]}, {}, "one map per coil"),
    "maps of other places": (
        {"kspace": MULTI, "coils": MAPS[:, ::-1].conj()},
        {},
        "outside of the given sensitivities",
    ),
    "maps with NaN": ({"kspace": MULTI, "coils": MAPS * np.nan}, {}, "sensitivities hold NaN"),
    "slices last": ({"kspace": np.stack([MULTI] * 3).transpose(2, 3, 1, 0)}, {}, "its centre along axes 0 and 1"),
    "a number as mask": ({"kspace": K, "mask": np.array(1)}, {}, "mask is the one number 1"),
    "a unit out of range": ({"kspace": 1e25 * K}, {}, "kspace reaches"),
    "one side as matrix": ({"kspace": K, "matrix": np.array([9])}, {}, "give two positive numbers"),
    "mask of another size": ({"kspace": K, "mask": np.ones((7, 5))}, {}, "mask of shape (7, 5)"),
    "mask of half values": ({"kspace": K, "mask": 0.5 * MASK}, {}, "other than 0 and 1"),
    "empty mask": ({"kspace": K, "mask": 0 * MASK}, {}, "all zero"),
    "mask of other lines": ({"kspace": K, "mask": (K[:1] == 0) * 1.0}, {}, "are exact zeros"),
    "noise larger than the data": ({"kspace": 1e-5 * K}, {"noise_std": 0.03}, "give it in the unit of the data"),
    "noise scan of other coils": ({"kspace": MULTI, "noise": complex_noise(0, 3, 50)}, {}, "noise scan of shape"),
    "singular covariance": ({"kspace": MULTI, "noise_covariance": np.zeros((4, 4))}, {}, "not positive definite"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(name):
    arrays, settings, message = MISTAKES[name]
    with pytest.raises(ValueError) as error:
        scan_of(arrays, **settings)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("unit", [2e-5, 350.0, 3e-7])
def test_the_unit_of_the_data_is_the_images_and_changes_nothing_else(unit):
    one, other = scan_of({"kspace": K}), scan_of({"kspace": (unit * K).astype(np.complex64)})
    np.testing.assert_allclose(other.scale, unit * one.scale, rtol=1e-4)
    np.testing.assert_allclose(other.measurement.y, one.measurement.y, atol=1e-5)
    np.testing.assert_allclose(other.measurement.noise_std, one.measurement.noise_std, rtol=1e-3)


@pytest.mark.parametrize("mask", [lines()[None], np.ones((1, 1))], ids=["lines", "full"])
def test_the_noise_level_is_found_where_the_object_leaves_k_space_to_it(mask):
    kspace = (0.02 * complex_noise(1, 3, 64, 40) * np.ones((1, 64, 1))).astype(np.complex64)
    kspace[:, 20:44, 12:28] += 3
    where = np.broadcast_to(mask > 0, (64, 40))
    assert abs(noise.estimated_noise(kspace * where, where) / 0.02 - 1) < 0.06


def test_prewhitening_makes_the_noise_of_all_coils_alike_and_keeps_its_level():
    mixing = complex_noise(0, 4, 4) + 2 * np.eye(4)
    scan = mixing @ complex_noise(1, 4, 20_000)
    whitened, level = noise.prewhitened(scan, noise.noise_covariance(scan))
    np.testing.assert_allclose(noise.noise_covariance(whitened), 2 * level**2 * np.eye(4), atol=1e-3 * level**2)
    np.testing.assert_allclose(2 * level**2, np.mean(np.abs(scan) ** 2), rtol=1e-5)


def test_an_object_that_nearly_fills_the_image_has_its_origin_found_on_both_axes():
    tall = np.abs(np.linspace(-1, 1, 64) + 0.1)[:, None] < 0.8
    image = tall * (np.abs(np.linspace(-1, 1, 48)) < 0.5) * (1.0 + 0.5j)
    found = scan_of({"kspace": np.fft.fft2(image).astype(np.complex64)})
    assert "about the edge of the rows and columns" in "; ".join(found.notes)
    y = found.scale * np.asarray(found.measurement.y)
    np.testing.assert_allclose(y, fft2c(image) * np.sqrt(image.size), atol=1e-3)


def test_given_sensitivities_are_prewhitened_with_the_data():
    mixing = 0.01 * (complex_noise(0, COILS, COILS) + 2 * np.eye(COILS))
    scan = (mixing @ complex_noise(1, COILS, 5000)).astype(np.complex64)
    found = scan_of({"kspace": measured(coils=COILS, std=0.0), "coils": MAPS, "noise": scan})
    assert "prewhitened" in found.notes[0]
    image = jnp.asarray(np.stack([disc().real, disc().imag], -1), jnp.float32)
    whole = found.scale * np.asarray(found.measurement.y)
    np.testing.assert_allclose(found.measurement.operator(image), whole, atol=1e-4 * np.abs(whole).max())
    level = float(np.sqrt(np.mean(np.abs(mixing) ** 2) * COILS))
    np.testing.assert_allclose(found.scale * found.measurement.noise_std, level, rtol=0.05)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.arange(40)[None] > 14, "partial Fourier: measured columns reach 5 to one side"),
        (np.abs(np.arange(48) - 24)[:, None] < 15, "k-space is zero beyond 29 of 48 rows"),
    ],
    ids=["partial Fourier", "zero-filled"],
)
def test_a_part_of_k_space_is_recognised(mask, words):
    assert words in "; ".join(scan_of({"kspace": measured(mask)}).notes)


def test_a_mask_in_fft_order_marks_lines_that_were_zero_filled():
    mask = lines(SHAPE[1] + 16)
    inside = (measured(mask[8:-8][None]), ((4, 4), (8, 8)))
    scan = kspace_scan("scan", {"kspace": np.pad(*inside), "mask": shift(mask)}, KSpaceSettings())
    notes = "; ".join(scan.notes)
    assert "read as FFT order" in notes and "exact zeros and count as not measured" in notes
    np.testing.assert_array_equal(np.asarray(scan.measurement.operator.mask)[:, 8:-8][4:-4].any(0), mask[8:-8] > 0)
