"""Every measurement operator passes the same battery; a new one is a new row of `CASES`."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.operators import ct, mar, mri, noncartesian
from scoreinv.operators.base import LinearOperator
from scoreinv.operators.fan import fan_transform
from scoreinv.operators.weighted import WeightedTransform


def some_mask(shape, seed=0):
    return jax.device_put(np.float32(np.random.default_rng(seed).random(shape) < 0.5))


def coils(n, shape):
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    centers = np.linspace(0, 2 * np.pi, n, endpoint=False)
    maps = [np.exp(-((rows - np.cos(c)) ** 2) - (columns - np.sin(c)) ** 2 + 1j * c * columns) for c in centers]
    return jnp.asarray(np.stack(maps), jnp.complex64)


def two_sets(n, shape):
    """Sensitivities that are orthogonal at every pixel."""
    one, other = coils(n, shape), jnp.roll(coils(n, shape), 1, 0)
    power = jnp.sum(jnp.abs(one) ** 2, 0)
    return jnp.stack([one, other - one * jnp.sum(jnp.conj(one) * other, 0) / power])


def spokes(samples, shape):
    """Every second sample of six diameters."""
    angles, radius = np.pi * np.arange(6)[:, None] / 6, np.arange(samples) / samples - 0.5
    positions = np.stack([radius * np.cos(angles), radius * np.sin(angles)], -1).reshape(-1, 2)
    positions = jnp.asarray(positions, jnp.float32)
    weights = noncartesian.normalised(0.05 + jnp.linalg.norm(positions, axis=-1), positions, shape)
    spectrum = noncartesian.toeplitz_spectrum(weights, positions, shape)
    transform = noncartesian.NonCartesianTransform(positions, jnp.sqrt(weights), spectrum, coils(2, shape))
    return LinearOperator(some_mask((1, len(positions))), transform)


def radon(views, shape, detectors=0, mask=None):
    transform = ct.radon_transform(ct.uniform_angles(views), shape, detectors)
    return LinearOperator(jnp.ones((views, 1)) if mask is None else mask, transform)


def without_metal(views, shape):
    """Every second view, without the rays through one pixel of metal."""
    transform = ct.radon_transform(ct.uniform_angles(views), shape)
    metal = jnp.zeros(shape).at[3, 5].set(1.0)
    mask = ct.sparse_view_mask(views, views // 2) * mar.metal_free_mask(transform, metal)
    return LinearOperator(mask, transform)


def fan(views, shape, mask=None):
    """A short fan-beam scan with an axis beside the middle, its rays weighted."""
    angles = np.deg2rad(250) * np.arange(views) / views
    columns = np.arctan(1.5 * (np.arange(11) - 4.6) / 40)
    root = jnp.asarray(np.random.default_rng(5).uniform(0.5, 2, (views, 11)), jnp.float32)
    transform = WeightedTransform(fan_transform(angles, shape, columns, 25.0), root)
    return LinearOperator(jnp.ones((views, 1)) if mask is None else mask, transform)


# name: (operator, image shape, A^+ is exact)
CASES = {
    "fourier, real": (LinearOperator(some_mask((8, 8)), mri.FourierTransform(1)), (8, 8, 1), True),
    "fourier, real, odd": (LinearOperator(some_mask((1, 6)), mri.FourierTransform(1)), (7, 6, 1), True),
    "fourier, complex": (LinearOperator(some_mask((8, 8)), mri.FourierTransform(2)), (8, 8, 2), True),
    "fourier, complex, odd": (LinearOperator(some_mask((7, 1)), mri.FourierTransform(2)), (7, 6, 2), True),
    "sense": (LinearOperator(some_mask((1, 8)), mri.SenseTransform(coils(3, (8, 8)))), (8, 8, 2), False),
    "sense, columns alone": (
        LinearOperator(some_mask((1, 8)), mri.SenseTransform(coils(3, (7, 8)), axes=(-1,))),
        (7, 8, 2),
        False,
    ),
    "sense, real": (LinearOperator(some_mask((1, 6)), mri.SenseTransform(coils(3, (7, 6)), 1)), (7, 6, 1), False),
    "sense, two sets": (
        LinearOperator(some_mask((1, 8)), mri.SenseTransform(two_sets(3, (8, 8)), 4)),
        (8, 8, 4),
        False,
    ),
    "radon, limited angle": (radon(12, (8, 8), mask=ct.limited_angle_mask(12, 90, 30)), (8, 8, 1), False),
    "radon, metal trace": (without_metal(12, (8, 8)), (8, 8, 1), False),
    "radon, masked rays, short detector": (radon(6, (8, 11), 7, some_mask((6, 7))), (8, 11, 1), False),
    "radon, own pitch and axis": (
        LinearOperator(jnp.ones((7, 1)), ct.radon_transform(np.arange(7), (8, 8), 9, pitch=1.3, offset=0.7)),
        (8, 8, 1),
        False,
    ),
    "fan, weighted": (fan(9, (8, 8), some_mask((9, 11))), (8, 8, 1), False),
}
if importlib.util.find_spec("jax_finufft"):
    CASES["radial"] = (spokes(10, (8, 7)), (8, 7, 2), False)
# Compiled once per operator structure and shared by all tests.
METHODS = forward, adjoint, inverse, pseudo_inverse = (
    jax.jit(LinearOperator.__call__),
    jax.jit(LinearOperator.adjoint),
    jax.jit(LinearOperator.inverse),
    jax.jit(LinearOperator.pseudo_inverse),
)
EXACT = [name for name, (_, _, exact) in CASES.items() if exact]
battery = pytest.mark.parametrize("name", CASES)
# For what depends on the program alone: these have that of another case, with other numbers in it.
SAME_PROGRAM = ("radon, limited angle", "radon, metal trace", "radon, own pitch and axis")
programs = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SAME_PROGRAM)) for name in CASES]
)


def draw(seed, like):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(like.shape)
    z = z + 1j * rng.standard_normal(like.shape) if jnp.issubdtype(like.dtype, jnp.complexfloating) else z
    return z.astype(like.dtype)


def inner64(a, b):
    return np.vdot(np.asarray(a, np.complex128), np.asarray(b, np.complex128)).real


def image(seed, shape):
    return draw(seed, jax.ShapeDtypeStruct(shape, jnp.float32))


def data(seed, operator, shape):
    return draw(seed, jax.eval_shape(operator, jax.ShapeDtypeStruct(shape, jnp.float32)))


def dense(operator, shape):
    """A as a real matrix; complex coefficients become two rows each."""
    basis = np.eye(int(np.prod(shape)), dtype=np.float32).reshape(-1, *shape)
    columns = np.stack([np.asarray(operator(x)).ravel() for x in basis])
    columns = np.concatenate([columns.real, columns.imag], axis=1) if np.iscomplexobj(columns) else columns
    return columns.T.astype(np.float64)


def as_vector(z):
    z = np.asarray(z).ravel()
    return np.concatenate([z.real, z.imag]) if np.iscomplexobj(z) else z


@battery
def test_adjoint_is_exact(name):
    operator, shape, _ = CASES[name]
    x, y = image(0, shape), data(1, operator, shape)
    ax, ahy = forward(operator, x), adjoint(operator, y)
    scale = np.linalg.norm(ax) * np.linalg.norm(y)
    assert abs(inner64(ax, y) - inner64(x, ahy)) <= 1e-6 * scale


@programs
def test_gradients_are_the_adjoint(name):
    operator, shape, _ = CASES[name]
    x, y = image(0, shape), data(1, operator, shape)

    d = data(2, operator, shape)

    def misfit(x):
        return jnp.sum(jnp.abs(operator(x) - y) ** 2) / 2

    def energy(s):
        return jnp.sum(operator.adjoint(y + s * d) ** 2) / 2

    gradient, slope = jax.jit(lambda x: (jax.grad(misfit)(x), jax.grad(energy)(0.0)))(x)
    expected = np.asarray(adjoint(operator, np.asarray(forward(operator, x)) - y))
    np.testing.assert_allclose(gradient, expected, atol=2e-5 * np.abs(expected).max())
    # Through the adjoint: the slope of |A^H (y + s d)|^2 / 2 is <A^H y, A^H d>.
    np.testing.assert_allclose(slope, inner64(adjoint(operator, y), adjoint(operator, d)), rtol=1e-4, atol=1e-3)


@battery
def test_pseudo_inverse_against_dense(name):
    operator, shape, exact = CASES[name]
    matrix = dense(lambda x: forward(operator, x), shape)
    y = data(1, operator, shape) if exact else forward(operator, image(1, shape))
    inverse_matrix = np.linalg.pinv(matrix, rcond=1e-5)
    expected = inverse_matrix @ as_vector(operator.mask * y)
    x = np.asarray(pseudo_inverse(operator, y)).ravel()
    if exact:
        np.testing.assert_allclose(x, expected, atol=1e-5)
    else:  # few conjugate-gradient steps: most of the measured part, in the range of A^H, and never too long
        np.testing.assert_array_less(np.linalg.norm(matrix @ (x - expected)), 0.2 * np.linalg.norm(matrix @ expected))
        assert np.linalg.norm(x - inverse_matrix @ (matrix @ x)) <= 1e-4 * np.linalg.norm(x)
        assert np.linalg.norm(x) <= np.linalg.norm(expected) * (1 + 1e-5)


@pytest.mark.parametrize("name", EXACT)
def test_measured_part_is_an_orthogonal_projection(name):
    operator, shape, _ = CASES[name]
    matrix = dense(lambda x: pseudo_inverse(operator, forward(operator, x)), shape)
    np.testing.assert_allclose(matrix @ matrix, matrix, atol=1e-6)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)


@battery
def test_correction_never_expands(name):
    operator, shape, _ = CASES[name]
    start, truth = image(0, shape), image(1, shape)
    y = forward(operator, truth)
    for lam in (0.3, 1.0):
        x, error = start, [np.linalg.norm(start - truth)]
        for _ in range(40):
            x = x + lam * pseudo_inverse(operator, y - forward(operator, x))
            error.append(np.linalg.norm(x - truth))
        assert np.all(np.diff(error) <= 1e-5 * error[0])
        assert error[-1] < error[0]


@programs
def test_jit_and_vmap_equal_a_loop(name):
    operator, shape, _ = CASES[name]
    xs = np.stack([image(seed, shape) for seed in range(3)])
    ys = np.stack([data(seed, operator, shape) for seed in range(3)])
    stacked = jax.tree.map(lambda leaf: np.stack([leaf] * 3), operator)

    def close(batched, loop):
        loop = np.stack(loop)
        np.testing.assert_allclose(batched, loop, atol=3e-5 * np.abs(loop).max())

    def everything(operator, x, y):
        return operator(x), operator.adjoint(y), operator.inverse(y), operator.pseudo_inverse(y)

    def both_ways(operator, x, y):
        return operator(x), operator.adjoint(y)

    pairs = list(zip(xs, ys, strict=True))
    loops = [
        [f(operator, x) for x, _ in pairs] if f is forward else [f(operator, y) for _, y in pairs] for f in METHODS
    ]
    for batched in (
        jax.jit(jax.vmap(everything, (None, 0, 0)))(operator, xs, ys),
        jax.jit(jax.vmap(both_ways))(stacked, xs, ys),
    ):
        for result, loop in zip(batched, loops, strict=False):
            close(result, loop)


@battery
def test_unmeasured_samples_contribute_nothing(name):
    operator, shape, _ = CASES[name]
    y = data(0, operator, shape)
    measured = np.broadcast_to(operator.mask, y.shape) > 0
    other = np.where(measured, y, np.float32(1e3) * data(1, operator, shape))
    for method in (adjoint, inverse, pseudo_inverse):
        np.testing.assert_array_equal(method(operator, y), method(operator, other))
    assert np.all(np.asarray(forward(operator, image(0, shape)))[~measured] == 0)


@programs
def test_changed_mask_does_not_retrace(name):
    operator, shape, _ = CASES[name]
    x, y = image(0, shape), data(1, operator, shape)
    functions = {forward: x, adjoint: y, inverse: y, pseudo_inverse: y}
    before = [f(operator, z) for f, z in functions.items()]
    traces = [f._cache_size() for f in functions]
    empty = operator.replace(mask=jnp.zeros_like(operator.mask))
    for f, z in functions.items():
        assert np.all(np.asarray(f(empty, z)) == 0)
    assert all(np.any(np.asarray(result) != 0) for result in before)
    assert traces == [f._cache_size() for f in functions]
