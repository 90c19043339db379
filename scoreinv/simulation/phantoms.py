"""Images made of formulas: for tests, demonstrations and training without data."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

Image = Float[Array, "H W 1"]

# Toft (1996), table B.3, the modified contrast: intensity, semi-axes along x and y, centre x and y, angle in degrees.
SHEPP_LOGAN = np.array(
    [
        [1.0, 0.69, 0.92, 0.0, 0.0, 0.0],
        [-0.8, 0.6624, 0.874, 0.0, -0.0184, 0.0],
        [-0.2, 0.11, 0.31, 0.22, 0.0, -18.0],
        [-0.2, 0.16, 0.41, -0.22, 0.0, 18.0],
        [0.1, 0.21, 0.25, 0.0, 0.35, 0.0],
        [0.1, 0.046, 0.046, 0.0, 0.1, 0.0],
        [0.1, 0.046, 0.046, 0.0, -0.1, 0.0],
        [0.1, 0.046, 0.023, -0.08, -0.605, 0.0],
        [0.1, 0.023, 0.023, 0.0, -0.606, 0.0],
        [0.1, 0.023, 0.046, 0.06, -0.605, 0.0],
    ],
    np.float32,
)


def _grid(shape: tuple[int, int], oversampling: int = 1) -> tuple[Float[Array, "H 1"], Float[Array, "1 W"]]:
    """Pixel centres (y upwards, x to the right) with the image covering [-1, 1] x [-1, 1]."""
    height, width = (n * oversampling for n in shape)
    y = 1 - (2 * jnp.arange(height) + 1) / height
    x = (2 * jnp.arange(width) + 1) / width - 1
    return y[:, None], x[None, :]


@partial(jax.jit, static_argnames=("shape", "oversampling"))
def ellipses(shape: tuple[int, int], table: Float[Array, "N 6"], oversampling: int = 4) -> Image:
    """The sum of uniform ellipses, each pixel the mean of `oversampling`^2 points, clipped to [0, 1].

    Args:
        shape: (H, W).
        table: N rows (intensity, semi-axis along x, semi-axis along y, centre x, centre y, angle in degrees), lengths
            in half image sides, y upwards.
        oversampling: points per pixel and axis.

    Returns:
        [H, W, 1].
    """
    y, x = _grid(shape, oversampling)

    def add(image, row):
        intensity, a, b, x0, y0, degrees = row
        cos, sin = jnp.cos(jnp.deg2rad(degrees)), jnp.sin(jnp.deg2rad(degrees))
        u, v = (x - x0) * cos + (y - y0) * sin, (y - y0) * cos - (x - x0) * sin
        return image + intensity * ((u / a) ** 2 + (v / b) ** 2 <= 1), None

    image, _ = jax.lax.scan(add, jnp.zeros((y.size, x.size)), jnp.asarray(table))
    blocks = image.reshape(shape[0], oversampling, shape[1], oversampling)
    return jnp.clip(blocks.mean((1, 3)), 0, 1)[..., None]


def shepp_logan(shape: tuple[int, int]) -> Image:
    """The Shepp-Logan head phantom (Shepp and Logan 1974) with Toft's higher contrast, [H, W, 1] in [0, 1]."""
    return ellipses(shape, jnp.asarray(SHEPP_LOGAN))


@partial(jax.jit, static_argnames="shape")
def shepp_logan_variant(key: PRNGKeyArray, shape: tuple[int, int]) -> Image:
    """A Shepp-Logan phantom whose ellipses differ a little in brightness, size, place and angle.

    Args:
        key: PRNG key.
        shape: (H, W).

    Returns:
        [H, W, 1] in [0, 1].
    """
    spread = jnp.array([0.05, 0.02, 0.02, 0.02, 0.02, 5.0])
    table = jnp.asarray(SHEPP_LOGAN)
    return ellipses(shape, table + spread * jax.random.uniform(key, table.shape, minval=-1.0))


@partial(jax.jit, static_argnames=("shape", "count"))
def random_ellipses(key: PRNGKeyArray, shape: tuple[int, int], count: int = 12) -> Image:
    """A body-like ellipse with `count` random ellipses of either sign inside.

    Args:
        key: PRNG key.
        shape: (H, W).
        count: number of inner ellipses.

    Returns:
        [H, W, 1] in [0, 1].
    """
    body_key, key = jax.random.split(key)
    body_axes = jax.random.uniform(body_key, (2,), minval=0.7, maxval=0.95)
    lower = jnp.array([-0.35, 0.04, 0.04, -0.5, -0.5, 0.0])
    upper = jnp.array([0.35, 0.35, 0.35, 0.5, 0.5, 180.0])
    inner = jax.random.uniform(key, (count, 6), minval=lower, maxval=upper)
    body = jnp.array([0.5, 0, 0, 0, 0, 0.0]).at[1:3].set(body_axes)
    return ellipses(shape, jnp.concatenate([body[None], inner]))


@partial(jax.jit, static_argnames=("shape", "count"))
def smooth_blobs(key: PRNGKeyArray, shape: tuple[int, int], count: int = 8) -> Image:
    """A sum of random Gaussians, all but zero at the border: smooth enough to be band-limited.

    Args:
        key: PRNG key.
        shape: (H, W).
        count: number of Gaussians; standard deviations are 0.06 to 0.12 half image sides.

    Returns:
        [H, W, 1] in [0, 1], maximum 1.
    """
    y, x = _grid(shape)
    lower = jnp.array([0.2, 0.06, -0.3, -0.3])
    upper = jnp.array([1.0, 0.12, 0.3, 0.3])
    rows = jax.random.uniform(key, (count, 4), minval=lower, maxval=upper)
    heights, widths, x0, y0 = (column[:, None, None] for column in rows.T)
    image = jnp.sum(heights * jnp.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * widths**2)), axis=0)
    return (image / image.max())[..., None]
