"""Resampling by two in each direction: FIR filters as polyphase sums, nearest and mean, patches to channels.

Song et al. 2021, appendix H, take the filters from StyleGAN2 (Karras et al. 2020). The published code stuffs zeros and
runs a grouped convolution; here every output phase is a sum of shifted slices, which gives the same numbers.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from scoreinv.models.winograd import convolve_3x3

# From so many channels and pixels on, transforming rows and kernels costs less than the multiplications it saves.
WIDE, LARGE = 64, 64 * 64
Features = Float[Array, "N H W C"]


def convolve(x: Features, weight: Float[Array, "h w C D"], stride: int, padding: str) -> Float[Array, "N H2 W2 D"]:
    """The convolution in [N, H, W, C] layout, in the form that is fastest where it runs.

    One of 1 x 1 is the matrix product it is; a large one of 3 x 3 runs on CPU with half of the multiplications
    (winograd.py); every other is XLA's.
    """
    if weight.shape[:2] == (1, 1) and stride == 1:
        return x @ weight[0, 0]
    plain = partial(
        jax.lax.conv_general_dilated,
        window_strides=(stride, stride),
        padding=padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    large = min(weight.shape[2:]) >= WIDE and x.shape[1] * x.shape[2] >= LARGE and x.dtype == jnp.float32
    if large and weight.shape[:2] == (3, 3) and (stride, padding) == (1, "SAME"):
        return jax.lax.platform_dependent(x, weight, cpu=convolve_3x3, default=plain)
    return plain(x, weight)


def _shifted_sum(x, taps, axis: int):
    """sum_k w_k x[m + k] along one axis, zero outside, for `taps` {k: w_k}."""
    before, after = max(0, -min(taps)), max(0, max(taps))
    padded = jnp.pad(x, [(before, after) if a == axis else (0, 0) for a in range(x.ndim)])
    size = x.shape[axis]
    return sum(
        w * jax.lax.slice_in_dim(padded, before + k, before + k + size, axis=axis) for k, w in sorted(taps.items())
    )


def _phases(taps, offset: int):
    """Splits out[2 m + r] = sum_j taps[j] z[2 m + r + j - offset], z[2 m] = x[m], into {shift of x: weight} by r."""
    return [{(r + j - offset) // 2: float(w) for j, w in enumerate(taps) if (r + j - offset) % 2 == 0} for r in (0, 1)]


def _upsample_axis(x, taps, offset: int, axis: int):
    phases = [_shifted_sum(x, phase, axis) for phase in _phases(taps, offset)]
    shape = [*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :]]
    return jnp.stack(phases, axis + 1).reshape(shape)


def _downsample_axis(x, taps, offset: int, axis: int):
    """out[m] = sum_j taps[j] x[2 m + j - offset]: the two phases of x, each filtered by its own taps."""
    pairs = x.reshape([*x.shape[:axis], x.shape[axis] // 2, 2, *x.shape[axis + 1 :]])
    out = 0.0
    for r in (0, 1):
        phase = {(j - offset - r) // 2: float(w) for j, w in enumerate(taps) if (j - offset - r) % 2 == 0}
        out = out + _shifted_sum(jax.lax.index_in_dim(pairs, r, axis + 1, keepdims=False), phase, axis)
    return out


def fir_taps(kernel: tuple[int | float, ...], gain: float = 1.0) -> np.ndarray:
    """The one-dimensional filter in correlation order, with sum `gain`."""
    taps = np.asarray(kernel, np.float32)[::-1]
    return gain * taps / taps.sum()


def upsample_fir(x: Features, kernel: tuple[int | float, ...] = (1, 3, 3, 1)) -> Float[Array, "N H2 W2 C"]:
    """Doubles height and width: zero-stuffing followed by a separable FIR filter, as a polyphase sum of shifted slices.

    Args:
        x: features [N, H, W, C].
        kernel: one-dimensional filter; [1, 3, 3, 1] is the published one. Zero outside the image.

    Returns:
        [N, 2H, 2W, C]; a constant keeps its value away from the border.
    """
    taps, offset = fir_taps(kernel, gain=2.0), (len(kernel) - 1) // 2 + 1
    return _upsample_axis(_upsample_axis(x, taps, offset, 2), taps, offset, 1)


def downsample_fir(x: Features, kernel: tuple[int | float, ...] = (1, 3, 3, 1)) -> Float[Array, "N H2 W2 C"]:
    """Halves height and width: a separable FIR filter evaluated at every second pixel only.

    Args:
        x: features [N, H, W, C], H and W even.
        kernel: one-dimensional filter; [1, 3, 3, 1] is the published one. Zero outside the image.

    Returns:
        [N, H/2, W/2, C]; a constant keeps its value away from the border.
    """
    taps, offset = fir_taps(kernel), (len(kernel) - 1) // 2
    return _downsample_axis(_downsample_axis(x, taps, offset, 1), taps, offset, 2)


def upsample_nearest(x: Features) -> Float[Array, "N H2 W2 C"]:
    """Doubles height and width by repeating pixels."""
    n, h, w, c = x.shape
    return jnp.broadcast_to(x[:, :, None, :, None], (n, h, 2, w, 2, c)).reshape(n, 2 * h, 2 * w, c)


def downsample_mean(x: Features) -> Float[Array, "N H2 W2 C"]:
    """Halves height and width by averaging 2 x 2 pixels."""
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))


def space_to_depth(x: Features, patch: int) -> Float[Array, "N H2 W2 C2"]:
    """Moves every `patch` x `patch` square of pixels into channels."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // patch, patch, w // patch, patch, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h // patch, w // patch, patch * patch * c)


def depth_to_space(x: Features, patch: int) -> Float[Array, "N H2 W2 C2"]:
    """The inverse of `space_to_depth`."""
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, patch, patch, c // patch**2).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h * patch, w * patch, c // patch**2)


def function(up: bool, kernel: tuple[int | float, ...] | None):
    """The function that doubles (`up`) or halves height and width, by a FIR filter or, for None, without one."""
    if kernel is None:
        return upsample_nearest if up else downsample_mean
    return partial(upsample_fir if up else downsample_fir, kernel=tuple(kernel))


def upsample_fir_conv(
    x: Features, weight: Float[Array, "3 3 C D"], kernel: tuple[int | float, ...] = (1, 3, 3, 1)
) -> Float[Array, "N H2 W2 D"]:
    """Zero-stuffing, a 3 x 3 convolution, then the FIR filter, without padding between them (StyleGAN2).

    The two filters are one, and each of its four phases is a convolution at the small size.

    Args:
        x: features [N, H, W, C].
        weight: convolution [3, 3, C, D].
        kernel: one-dimensional FIR filter.

    Returns:
        [N, 2H, 2W, D].
    """
    taps, offset = fir_taps(kernel, gain=2.0), (len(kernel) - 3) // 2 + 3
    combined = _convolve_axis(_convolve_axis(weight, taps, 0), taps, 1)
    # Tap 2 (k + reach) + 1 - r of the padded filter belongs to phase r and shift k.
    reach = (max(offset, len(taps) + 2 - offset) + 1) // 2
    side, before = 2 * reach + 1, 2 * reach + 1 - offset
    pad = (before, 2 * side - len(taps) - 2 - before)
    combined = jnp.pad(combined, (pad, pad, (0, 0), (0, 0)))
    phases = combined.reshape(side, 2, side, 2, *weight.shape[2:])[:, ::-1, :, ::-1].transpose(0, 2, 4, 1, 3, 5)
    return depth_to_space(convolve(x, phases.reshape(side, side, weight.shape[2], -1), 1, "SAME"), 2)


def downsample_fir_conv(
    x: Features, weight: Float[Array, "3 3 C D"], kernel: tuple[int | float, ...] = (1, 3, 3, 1)
) -> Float[Array, "N H2 W2 D"]:
    """The FIR filter, then a 3 x 3 convolution of stride 2, without padding between them (StyleGAN2).

    Args:
        x: features [N, H, W, C], H and W even.
        weight: convolution [3, 3, C, D].
        kernel: one-dimensional FIR filter.

    Returns:
        [N, H/2, W/2, D].
    """
    taps = fir_taps(kernel)
    before, after = (len(kernel) + 1) // 2, len(kernel) // 2
    x = jnp.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))
    for axis in (1, 2):
        size = x.shape[axis] - len(taps) + 1
        shifted = [float(w) * jax.lax.slice_in_dim(x, j, j + size, axis=axis) for j, w in enumerate(taps)]
        x = sum(shifted[1:], shifted[0])
    return convolve(x, weight, 2, "VALID")


def _convolve_axis(weight, taps, axis: int):
    """The full convolution of a kernel with one-dimensional taps along one axis."""
    size = [n + len(taps) - 1 if a == axis else n for a, n in enumerate(weight.shape)]
    pads = [
        [(j, size[axis] - weight.shape[axis] - j) if a == axis else (0, 0) for a in range(4)] for j in range(len(taps))
    ]
    return sum(float(w) * jnp.pad(weight, pad) for w, pad in zip(taps, pads, strict=True))
