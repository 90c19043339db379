"""Metal artifact removal: the rays that cross metal are a per-image mask on the CT transform.

Song et al. 2022, section 5: metal is segmented in the uncorrected image, its projection is the metal trace, and
everything but the trace is measured. Masks are products: sparse metal artifact removal is
`sparse_view_mask(...) * metal_free_mask(...)`. All of it is data, so that another implant compiles nothing.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from scoreinv.operators.base import Transform
from scoreinv.typing import Image, Scalar

Metal = Float[Array, "H W"]
Sinogram = Float[Array, "views detectors"]

# Pixels of metal that make a ray part of the trace. The projection of a sharp mask rings by 0.15 pixels beside its
# edge; a mask that is dilated by a pixel crosses more than this on every ray that the metal itself touches.
TRACE_THRESHOLD = 0.25


def dilate(mask: Num[Array, "*s"], radius: tuple[int, ...]) -> Num[Array, "*s"]:
    """The maximum over a box that reaches `radius` entries to both sides along each axis."""
    window = tuple(2 * r + 1 for r in radius)
    return jax.lax.reduce_window(mask, -jnp.inf, jax.lax.max, window, (1,) * mask.ndim, "SAME")


def segment_metal(image: Image, threshold: Scalar, dilation: int = 1) -> Metal:
    """Metal in an uncorrected image: all above a threshold, dilated.

    Args:
        image: uncorrected reconstruction [H, W, 1], not clipped.
        threshold: in the unit of the image; 2500 HU lies above bone and below any implant of a few pixels.
        dilation: pixels by which the mask grows to each side, for the partial volume at the edges of metal.

    Returns:
        [H, W], 1 where metal is.
    """
    return dilate((image[..., 0] > threshold).astype(jnp.float32), (dilation, dilation))


def metal_trace(transform: Transform, metal: Metal, threshold: Scalar = TRACE_THRESHOLD, dilation: int = 1) -> Sinogram:
    """The rays that cross metal: the projection of its mask, thresholded and dilated along the detector.

    Args:
        transform: that of the scan's rays.
        metal: 1 where metal is [H, W].
        threshold: length of metal above which a ray counts, pixels.
        dilation: detector bins by which the trace grows to each side.

    Returns:
        [views, detectors], 1 in the trace.
    """
    crossed = (transform.forward(metal[..., None]) > threshold).astype(jnp.float32)
    return dilate(crossed, (0, dilation))


def metal_free_mask(
    transform: Transform, metal: Metal, threshold: Scalar = TRACE_THRESHOLD, dilation: int = 1
) -> Sinogram:
    """1 - `metal_trace`: the mask of the rays that metal does not touch. Arguments as there."""
    return 1 - metal_trace(transform, metal, threshold, dilation)


def interpolate(z: Sinogram, mask: Sinogram) -> Sinogram:
    """Linear interpolation along each view over the bins that are not measured.

    Args:
        z: sinogram [views, detectors]; values outside the mask do not count.
        mask: 1 where measured [views, detectors].

    Returns:
        z where measured, else between the next measured bins to both sides; constant beyond the first and the last,
        0 in a view without any.
    """

    def one(z, mask):
        index = jnp.arange(z.shape[0])
        left = jax.lax.cummax(jnp.where(mask > 0, index, -1))
        right = jax.lax.cummin(jnp.where(mask > 0, index, z.shape[0]), reverse=True)
        left, right = jnp.where(left < 0, right, left), jnp.where(right == z.shape[0], left, right)
        left, right = (jnp.clip(i, 0, z.shape[0] - 1) for i in (left, right))
        weight = (index - left) / jnp.maximum(right - left, 1)
        return (1 - weight) * z[left] + weight * z[right]

    return jax.vmap(one)(mask * z, jnp.broadcast_to(mask, z.shape))


def insert_metal(x: Image, metal: Image | None) -> Image:
    """The image as it is shown: with metal put back in, at the end of the gray scale.

    Args:
        x: image [H, W, 1].
        metal: 1 on pixels of metal [H, W, 1]; None: there is none.
    """
    return x if metal is None else jnp.where(metal > 0, 1.0, x)


def remove_metal(x: Image, metal: Image | None) -> Image:
    """The image as it is compared: zero on pixels of metal (Song et al. 2022). Arguments as of `insert_metal`."""
    return x if metal is None else jnp.where(metal > 0, 0.0, x)
