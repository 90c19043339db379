"""Radon transform against closed forms, an explicit Fourier sum and scikit-image; FBP, view weights and masks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.data import shepp_logan_phantom
from skimage.transform import radon, resize

from scoreinv.operators import ct, filters
from scoreinv.operators.base import LinearOperator

forward = jax.jit(ct.RadonTransform.forward)
adjoint = jax.jit(ct.RadonTransform.adjoint)
fbp = jax.jit(ct.RadonTransform.fbp, static_argnames="window")
view_weights = jax.jit(filters.view_weights)
pseudo_inverse = jax.jit(ct.RadonTransform.pseudo_inverse)


def centred_axes(height, width):
    return np.arange(width) - (width - 1) / 2, (height - 1) / 2 - np.arange(height)[:, None]


def gaussians(shape):
    """(center right, center up, width, height) of some bumps well inside an image."""
    n = min(shape)
    return [(0.15 * n, 0.05 * n, 0.06 * n, 1.0), (-0.2 * n, 0.18 * n, 0.04 * n, 0.5)]


def smooth_image(shape):
    u, v = centred_axes(*shape)
    image = sum(a * np.exp(-((u - cu) ** 2 + (v - cv) ** 2) / (2 * w**2)) for cu, cv, w, a in gaussians(shape))
    return jnp.asarray(image[..., None], jnp.float32)


def smooth_sinogram(shape, angles, detectors):
    s = np.arange(detectors) - (detectors - 1) / 2
    total = 0
    for cu, cv, w, a in gaussians(shape):
        center = cu * np.cos(angles)[:, None] + cv * np.sin(angles)[:, None]
        # Square pixels and detector bins average over one pixel length each: variance 1/12 + 1/12 along s.
        v = w**2 + 1 / 6
        total = total + a * w**2 * np.sqrt(2 * np.pi / v) * np.exp(-((s - center) ** 2) / (2 * v))
    return total


def psnr(a, b):
    return 10 * np.log10(1 / np.mean((np.asarray(a, np.float64) - np.asarray(b)) ** 2))


@pytest.mark.parametrize(
    ("shape", "detectors"), [((64, 64), 0), ((65, 65), 0), ((48, 80), 0), ((70, 41), 60), ((64, 64), 140)]
)
def test_gaussians_against_the_closed_form(shape, detectors):
    angles = np.array([0.0, 0.3, np.pi / 4, 1.5, np.pi / 2, 2.0, 3.0, 3.5, 5.9])
    transform = ct.radon_transform(angles, shape, detectors)
    expected = smooth_sinogram(shape, angles, transform.detectors)
    np.testing.assert_allclose(forward(transform, smooth_image(shape)), expected, atol=2e-3 * expected.max())


def test_disc_against_its_chords():
    shape, radius, center = (96, 96), 22.0, (13.0, 17.0)
    fine = 8
    u, v = (np.arange(96 * fine) + 0.5) / fine - 48, 48 - (np.arange(96 * fine)[:, None] + 0.5) / fine
    inside = (u - center[0]) ** 2 + (v - center[1]) ** 2 < radius**2
    image = inside.reshape(96, fine, 96, fine).mean((1, 3)).astype(np.float32)
    transform = ct.radon_transform(ct.uniform_angles(36), shape)
    angles = np.asarray(transform.angles)[:, None]
    s = np.arange(transform.detectors) - (transform.detectors - 1) / 2
    offset = s - center[0] * np.cos(angles) - center[1] * np.sin(angles)
    chord = 2 * np.sqrt(np.maximum(radius**2 - offset**2, 0))
    error = np.asarray(forward(transform, jnp.asarray(image[..., None]))) - chord
    # The edge, where the chord has infinite slope and the detector averages, is off by less than a pixel or two.
    smooth = np.abs(np.abs(offset) - radius) > 2
    assert np.abs(error[smooth]).max() < 0.01 * 2 * radius
    assert np.sqrt(np.mean(error**2)) < 0.01 * 2 * radius


def test_gridding_against_the_explicit_fourier_sum():
    shape, angles = (8, 7), np.array([0.0, 0.4, 1.2, 2.0, 2.9])
    transform = ct.radon_transform(angles, shape)
    n = 2 * (transform.response.shape[1] - 1)
    omega = 2 * np.pi * np.arange(n // 2 + 1) / n
    u, v = centred_axes(*shape)
    s = np.arange(transform.detectors) - (transform.detectors - 1) / 2
    image = np.random.default_rng(0).standard_normal(shape)
    expected = np.zeros((len(angles), transform.detectors))
    for row, angle in zip(expected, angles, strict=True):
        ku, kv = omega * np.cos(angle), omega * np.sin(angle)
        slices = np.einsum("hw,khw->k", image, np.exp(-1j * (ku[:, None, None] * u + kv[:, None, None] * v)))
        slices *= np.sinc(ku / 2 / np.pi) * np.sinc(kv / 2 / np.pi) * np.sinc(omega / 2 / np.pi)
        slices[1:-1] *= 2
        row[:] = (slices @ np.exp(1j * np.outer(omega, s))).real / n
    actual = forward(transform, jnp.asarray(image[..., None], jnp.float32))
    np.testing.assert_allclose(actual, expected, atol=3e-3 * np.abs(expected).max())


def test_orientation_and_scale_agree_with_scikit_image():
    shape = (65, 65)
    angles = np.array([0.0, 30.0, 75.0, 90.0, 120.0, 165.0])
    u, v = centred_axes(*shape)
    x = smooth_image(shape) * (np.hypot(u, v) < 32)[..., None]
    expected = radon(np.asarray(x[..., 0], np.float64), angles, circle=True).T
    transform = ct.radon_transform(np.deg2rad(angles), shape, 65)
    np.testing.assert_allclose(forward(transform, x), expected, atol=0.03 * expected.max())


def test_mass_is_conserved_in_every_view():
    x = jnp.asarray(np.random.default_rng(0).random((32, 24, 1)), jnp.float32)
    transform = ct.radon_transform(ct.uniform_angles(7), (32, 24), 80)
    np.testing.assert_allclose(forward(transform, x).sum(1), np.full(7, x.sum()), rtol=2e-3)


def test_fbp_inverts_smooth_images():
    shape = (64, 48)
    transform = ct.radon_transform(ct.uniform_angles(100), shape, 100)
    x = smooth_image(shape)
    assert psnr(fbp(transform, forward(transform, x)), x) > 70


def test_fbp_of_shepp_logan():
    x = jnp.asarray(resize(shepp_logan_phantom(), (128, 128), anti_aliasing=True)[..., None], jnp.float32)
    transform = ct.radon_transform(ct.uniform_angles(128), (128, 128))
    y = forward(transform, x)
    ramp = fbp(transform, y)
    assert psnr(ramp, x) > 32
    assert psnr(fbp(transform, y, window="hann"), x) < psnr(ramp, x)
    noise = jnp.asarray(np.random.default_rng(0).standard_normal(y.shape), jnp.float32)
    assert np.std(fbp(transform, noise, window="hann")) < 0.5 * np.std(fbp(transform, noise))


def test_complex_images_are_two_real_ones():
    x = jnp.concatenate([smooth_image((32, 32)), smooth_image((32, 32))[::-1]], axis=-1)
    transform = ct.radon_transform(ct.uniform_angles(20), (32, 32))
    y = forward(transform, x)
    np.testing.assert_allclose(y.real, forward(transform, x[..., :1]), atol=1e-5)
    np.testing.assert_allclose(y.imag, forward(transform, x[..., 1:]), atol=1e-5)
    np.testing.assert_allclose(adjoint(transform, y)[..., :1], adjoint(transform, y.real), atol=1e-3)
    np.testing.assert_allclose(adjoint(transform, y)[..., 1:], adjoint(transform, y.imag), atol=1e-3)
    np.testing.assert_allclose(fbp(transform, y)[..., 1:], fbp(transform, forward(transform, x[..., 1:])), atol=1e-5)


def test_masked_views_and_a_transform_of_those_views_are_the_same_operator():
    shape, kept = (32, 32), slice(0, 60, 5)
    x = jnp.asarray(np.random.default_rng(0).random((*shape, 1)), jnp.float32)
    angles = np.pi * np.arange(60) / 60
    full, part = ct.radon_transform(angles, shape), ct.radon_transform(angles[kept], shape)
    mask = ct.sparse_view_mask(60, 12)
    y = mask * forward(full, x)
    np.testing.assert_allclose(y[kept], forward(part, x), atol=1e-5)
    np.testing.assert_allclose(fbp(full, y, mask), fbp(part, y[kept]), atol=1e-5)
    ones = jnp.ones((12, 1))
    np.testing.assert_allclose(pseudo_inverse(full, mask, y), pseudo_inverse(part, ones, y[kept]), atol=1e-5)


@pytest.mark.parametrize(
    "mask",
    [ct.sparse_view_mask(180, 23), ct.sparse_view_mask(180, 180), ct.limited_angle_mask(180, 90)],
    ids=["23 views", "180 views", "90 degrees"],
)
def test_proximal_steps_keep_exact_data_and_contract_noise(mask):
    shape = (64, 64)
    truth = jnp.asarray(resize(shepp_logan_phantom(), shape, anti_aliasing=True)[..., None], jnp.float32)
    operator = LinearOperator(mask, ct.radon_transform(ct.uniform_angles(180), shape))
    y = mask * forward(operator.transform, truth)

    @jax.jit
    def run(operator, x):
        def step(x, _):
            residual = y - operator(x)
            return x + operator.pseudo_inverse(residual), (jnp.linalg.norm(x - truth), jnp.linalg.norm(residual))

        return jax.lax.scan(step, x, length=50)

    kept, _ = run(operator, truth)
    np.testing.assert_allclose(kept, truth, atol=1e-5)
    noisy = truth + jnp.asarray(np.random.default_rng(0).standard_normal(truth.shape), jnp.float32)
    _, (error, residual) = run(operator, noisy)
    assert np.all(np.diff(error) <= 1e-6 * error[0])
    assert residual[1] < 0.15 * residual[0]
    assert residual[-1] < 0.01 * residual[0]


def test_noise_outside_the_range_does_not_blow_up():
    # More equations than unknowns: no image explains the noise; its least-squares image must be approached instead.
    shape = (12, 12)
    transform = ct.radon_transform(ct.uniform_angles(45), shape)
    operator = LinearOperator(jnp.ones((45, 1)), transform)
    y = jnp.asarray(np.random.default_rng(0).standard_normal((45, transform.detectors)), jnp.float32)
    matrix = np.stack([np.ravel(forward(transform, e.reshape(*shape, 1))) for e in np.eye(144, dtype=np.float32)], 1)
    smallest = np.linalg.norm(y.ravel() - matrix @ np.linalg.lstsq(matrix, y.ravel(), rcond=None)[0])

    @jax.jit
    def run(operator, x):
        def step(x, _):
            residual = y - operator(x)
            return x + operator.pseudo_inverse(residual), jnp.linalg.norm(residual)

        return jax.lax.scan(step, x, length=300)[1]

    residual = run(operator, jnp.zeros((*shape, 1)))
    assert residual[0] > 1.1 * smallest
    assert np.all(np.asarray(residual[1:]) < residual[0])
    assert residual[-1] < 1.05 * smallest


def test_view_weights_stand_for_the_angles():
    everything = jnp.ones(8, bool)
    uniform = np.asarray(ct.uniform_angles(8))
    np.testing.assert_allclose(view_weights(jnp.asarray(uniform), everything), np.pi / 8, rtol=1e-5)
    order = np.array([3, 1, 0, 7, 5, 6, 2, 4])
    uneven = np.array([0.0, 0.2, 0.5, 0.9, 1.3, 1.9, 2.3, 2.8])
    gaps = np.diff(np.append(uneven, np.pi))
    expected = (gaps + np.roll(gaps, 1)) / 2
    weights = view_weights(jnp.asarray(uneven[order], jnp.float32), everything)
    np.testing.assert_allclose(weights, expected[order], rtol=1e-5)
    # A full turn measures every line twice: each view stands for half as much.
    turn = 2 * np.pi * np.arange(16) / 16
    weights = view_weights(jnp.asarray(turn, jnp.float32), jnp.ones(16, bool))
    np.testing.assert_allclose(weights, np.pi / 16, rtol=1e-4)
    # A limited range: every view its own spacing, the missing wedge nobody's.
    limited = np.asarray(ct.limited_angle_mask(180, 60, 150))[:, 0] > 0
    weights = view_weights(ct.uniform_angles(180), jnp.asarray(limited))
    np.testing.assert_allclose(weights, np.where(limited, np.pi / 180, 0), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(view_weights(jnp.zeros(1), jnp.ones(1, bool)), [np.pi], rtol=1e-6)


def test_ramp_filter_is_the_band_limited_ramp():
    frequency = np.arange(129) / 256
    np.testing.assert_allclose(filters.ramp_filter(256)[1:], frequency[1:], atol=2e-3)
    assert 0 < filters.ramp_filter(256)[0] < 2e-3


def test_masks():
    np.testing.assert_array_equal(np.flatnonzero(ct.sparse_view_mask(10, 4)), [0, 2, 5, 8])
    assert ct.sparse_view_mask(320, 23).shape == (320, 1) and ct.sparse_view_mask(320, 23).sum() == 23
    assert np.ptp(np.diff(np.flatnonzero(ct.sparse_view_mask(320, 23)))) == 1
    assert ct.sparse_view_mask(7, 7).sum() == 7
    np.testing.assert_array_equal(np.flatnonzero(ct.limited_angle_mask(180, 90)), np.arange(90))
    np.testing.assert_array_equal(np.flatnonzero(ct.limited_angle_mask(12, 60, 150)), [0, 1, 10, 11])
    assert ct.limited_angle_mask(9, 180).sum() == 9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ct.sparse_view_mask(10, 11), "11 views of 10"),
        (lambda: ct.sparse_view_mask(10, 0), "0 views of 10"),
        (lambda: ct.limited_angle_mask(10, 0), "limited angle of 0 degrees"),
        (lambda: ct.limited_angle_mask(10, 270.0), "limited angle of 270.0 degrees"),
        (lambda: ct.radon_transform(np.zeros(0), (8, 8)), "at least one angle"),
        (lambda: ct.radon_transform(np.zeros(3), (8, 8), -5), "-5 detectors"),
        (lambda: ct.radon_transform(np.zeros(1), (8, 8)).fbp(jnp.zeros((1, 12)), window="cosine"), "'cosine'"),
    ],
)
def test_impossible_geometries_are_refused(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("n", [364, 1458, 1500, 2916])
def test_the_ramp_is_the_ramp_at_any_length(n):
    # At some lengths the offsets of a periodic kernel are whole numbers only up to rounding.
    np.testing.assert_allclose(filters.ramp_filter(n), np.arange(n // 2 + 1) / n, atol=1e-3)
