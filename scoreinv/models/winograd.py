"""3 x 3 convolutions by minimal filtering along the rows, for processors without matrix units.

Winograd 1980; Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016. F(4, 3) makes four rows
of the output from six products instead of twelve. Along the columns XLA's own convolution of 1 x 3 does the work: with
both directions transformed, moving numbers costs more than the multiplications saved.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

ROWS = 4  # of the output, from each ROWS + 2 of the input
# Interpolation at 0, 1, -1, 2, -2 and infinity (Lavin and Gray 2016, section 4.3).
INPUT = np.array(
    [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0],
     [0, 4, 0, -5, 0, 1]]
)  # fmt: skip
KERNEL = np.array(
    [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6],
     [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]]
)  # fmt: skip
OUTPUT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])


def convolve_3x3(x: Float[Array, "N H W C"], weight: Float[Array, "3 3 C D"]) -> Float[Array, "N H W D"]:
    """The convolution of stride 1 with zero padding, to about 1e-5 of its largest value in float32.

    Args:
        x: features [N, H, W, C].
        weight: kernel [3, 3, C, D].

    Returns:
        [N, H, W, D].
    """
    n, height, width, _ = x.shape
    blocks = -(-height // ROWS)
    padded = jnp.pad(x, ((0, 0), (1, ROWS * blocks + 1 - height), (0, 0), (0, 0)))
    rows = [jax.lax.slice_in_dim(padded, i, i + ROWS * (blocks - 1) + 1, stride=ROWS, axis=1) for i in range(ROWS + 2)]
    kernels = jnp.einsum("ai,ijcd->ajcd", KERNEL.astype(weight.dtype), weight)
    products = [_along_columns(_combined(c, rows), kernel) for c, kernel in zip(INPUT, kernels, strict=True)]
    out = jnp.stack([_combined(c, products) for c in OUTPUT], 2)
    return out.reshape(n, ROWS * blocks, width, weight.shape[-1])[:, :height]


def _combined(coefficients: Sequence[float], parts: Sequence[Array]) -> Array:
    weighted = [float(c) * part for c, part in zip(coefficients, parts, strict=True) if c]
    return sum(weighted[1:], weighted[0])


def _along_columns(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel[None], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
