"""Kaiser-Bessel gridding: the spectrum of a real image at arbitrary frequencies, and its exact adjoint.

Beatty, Nishimura and Pauly 2005. The image is divided by the kernel's transform, zero-padded to an oversampled grid and
transformed by a real FFT, whose half plane is interpolated with WIDTH x WIDTH taps per frequency.
"""

import math

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int
from scipy.fft import next_fast_len
from scipy.special import i0

WIDTH = 5
HALO = WIDTH // 2
OVERSAMPLING = 1.5
BETA = np.pi * np.sqrt((WIDTH / OVERSAMPLING) ** 2 * (OVERSAMPLING - 0.5) ** 2 - 0.8)


@flax.struct.dataclass
class Gridding:
    """Where a set of frequencies lies on the padded half-plane grid, and with which weights.

    Attributes:
        first: (row, column) of each frequency's first tap in the grid with its halo.
        rows: weights of the WIDTH row taps.
        columns: weights of the WIDTH column taps.
        flip: 1, or -1 where the frequency was reflected into the half plane and its value is the conjugate.
        deapodization: 1 / transform of the kernel, at the pixels.
        grid: (rows, columns) of the oversampled grid.
    """

    __no_type_check__ = True  # see LinearOperator

    first: Int[Array, "views K 2"]
    rows: Float[Array, "views K taps"]
    columns: Float[Array, "views K taps"]
    flip: Float[Array, "views K"]
    deapodization: Float[Array, "H W"]
    grid: tuple[int, int] = flax.struct.field(pytree_node=False)


def gridding(frequencies: np.ndarray, shape: tuple[int, int]) -> Gridding:
    """Prepares the tables (host side, float64).

    Args:
        frequencies: (row, column) frequencies [2, views, K] in radians per pixel, within [-pi, pi].
        shape: (H, W) of the image.
    """
    grid = (_grid_size(shape[0]), _grid_size(shape[1]))
    flip = np.where(frequencies[1] < 0, -1.0, 1.0)
    row, column = (flip * f * g / (2 * np.pi) for f, g in zip(frequencies, grid, strict=True))
    first_row, rows = _taps(row)
    first_column, columns = _taps(column)
    first = np.stack([(first_row + HALO) % grid[0], first_column + HALO], axis=-1)
    deapodization = np.outer(*(_deapodization(n, g) for n, g in zip(shape, grid, strict=True)))
    return Gridding(
        first=table(first, np.int32),
        rows=table(rows),
        columns=table(columns),
        flip=table(flip),
        deapodization=table(deapodization),
        grid=grid,
    )


def table(values: np.ndarray, dtype: type = np.float32) -> Array:
    """Values on the device, rounded here and put there: `jnp.asarray` compiles a program for each shape."""
    return jax.device_put(np.asarray(values, dtype))


def even_fast_length(n: int) -> int:
    """The smallest even transform length >= n without large prime factors."""
    n = next_fast_len(n, real=True)
    return n if n % 2 == 0 else even_fast_length(n + 1)


def _grid_size(n: int) -> int:
    return even_fast_length(int(np.ceil(OVERSAMPLING * n)))


def _taps(position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first = np.round(position).astype(int) - HALO
    taps = first[..., None] + np.arange(WIDTH)
    distance = 2 * (taps - position[..., None]) / WIDTH
    weights = i0(BETA * np.sqrt(np.maximum(1 - distance**2, 0)))
    # The image sits in the middle of the grid; the sign moves the origin there.
    return first, weights * (-1.0) ** taps


def _deapodization(n: int, grid: int) -> np.ndarray:
    root = np.sqrt(BETA**2 - (np.pi * WIDTH * (np.arange(n) - n // 2) / grid) ** 2)
    return root / (WIDTH * np.sinh(root))


@jax.jit
def spectrum(plan: Gridding, x: Float[Array, "H W"]) -> Complex[Array, "views K"]:
    """sum_j x_j exp(-i k . (j - (H // 2, W // 2))) at the plan's frequencies k."""
    pad = [(g // 2 - n // 2, g - g // 2 - (n - n // 2)) for n, g in zip(x.shape, plan.grid, strict=True)]
    half_plane = jnp.fft.rfft2(jnp.pad(x * plan.deapodization, pad))
    values = _interpolate(plan, _with_halo(half_plane))
    return jax.lax.complex(values.real, plan.flip * values.imag)


def _with_halo(f: Complex[Array, "rows half"]) -> Complex[Array, "rows2 half2"]:
    # F(-k) = conj F(k): columns beyond either edge of the half plane are the reflected ones within.
    reflected = jnp.roll(jnp.flip(jnp.conj(f), (0, 1)), 1, axis=0)
    n = f.shape[1]
    f = jnp.concatenate([reflected[:, n - 1 - HALO : n - 1], f, reflected[:, 1 : 1 + HALO]], axis=1)
    return jnp.concatenate([f[-HALO:], f, f[:HALO]], axis=0)


@jax.custom_vjp
def _interpolate(plan: Gridding, padded: Complex[Array, "rows half"]) -> Complex[Array, "views K"]:
    # Unrolled over a flat grid, so that XLA fuses all taps into one loop that writes each value once.
    plan, padded = _used_together(plan, padded)
    flat, stride = padded.ravel(), padded.shape[1]
    base = plan.first[..., 0] * stride + plan.first[..., 1]
    total = jnp.zeros(base.shape, flat.dtype)
    for a in range(WIDTH):
        taps = (plan.columns[..., b] * _at(flat, base + (a * stride + b)) for b in range(WIDTH))
        total += plan.rows[..., a] * sum(taps)
    return total


def _used_together(plan, values):
    # Inside a loop XLA would compute 25 index tables and 25 weight tables once, outside: more to read than to compute.
    # The barrier ties them to the values, which change from one iteration to the next.
    return jax.lax.optimization_barrier((plan, values))


def _at(flat, index):
    return flat.at[index].get(mode="promise_in_bounds")


@jax.custom_vjp
def _spread(plan: Gridding, values: Complex[Array, "views K"]) -> Complex[Array, "rows half"]:
    return _scatter(plan, values)


@jax.custom_batching.custom_vmap
def _scatter(plan: Gridding, values: Complex[Array, "*batch views K"]) -> Complex[Array, "*batch rows half"]:
    # One window of WIDTH x WIDTH cells per value; the grids of a batch are stacked along the rows of one.
    plan, values = _used_together(plan, values)
    batch, (rows, half) = values.shape[:-2], (plan.grid[0] + 2 * HALO, plan.grid[1] // 2 + 1 + 2 * HALO)
    n = math.prod(batch)
    values = values.reshape(n, *values.shape[-2:])
    windows = plan.rows[..., :, None] * plan.columns[..., None, :] * values[..., None, None]
    start = plan.first + jnp.stack([rows * jnp.arange(n), jnp.zeros(n, int)], axis=-1)[:, None, None]
    grid = jax.lax.scatter_add(
        jnp.zeros((n * rows, half), values.dtype),
        start.reshape(-1, 2),
        windows.reshape(-1, WIDTH, WIDTH),
        jax.lax.ScatterDimensionNumbers(
            update_window_dims=(1, 2), inserted_window_dims=(), scatter_dims_to_operand_dims=(0, 1)
        ),
        mode=jax.lax.GatherScatterMode.PROMISE_IN_BOUNDS,
    )
    return grid.reshape(*batch, rows, half)


@_scatter.def_vmap
def _(size, batched, plan, values):
    # XLA's own batching interleaves the grids in memory, which is three times slower on CPU.
    if not any(jax.tree.leaves(batched[0])):
        return _scatter(plan, values), True

    def one(i):
        return _scatter(*jax.tree.map(lambda leaf, own: leaf[i] if own else leaf, (plan, values), tuple(batched)))

    return jax.lax.map(one, jnp.arange(size)), True


_interpolate.defvjp(lambda plan, f: (_interpolate(plan, f), plan), lambda plan, ct: (None, _spread(plan, ct)))
_spread.defvjp(lambda plan, v: (_spread(plan, v), plan), lambda plan, ct: (None, _interpolate(plan, ct)))
