"""Convolutions with kernel-sized zero padding whose weight gradient is fast on CPU.

XLA's forward convolution and input gradient run near the speed of a matrix product on CPU; its weight gradient on
larger images does not, and a 1 x 1 convolution is slower than the matrix product it is. `convolve_same` is the ordinary
convolution as its own primitive, so that under `vmap` and `grad` in any order its weight gradient sums over the whole
batch in one go, by the formula that is fast on the platform it is compiled for.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

Features = Float[Array, "N H W C"]
# On CPU, images of fewer pixels or inputs of fewer channels are left to XLA, and a chunk has about this many pixels.
MIN_PIXELS, MIN_CHANNELS, CHUNK_PIXELS = 1024, 64, 512


def convolve(x: Features, weight: Float[Array, "h w C D"], stride: int, padding: str) -> Float[Array, "N H2 W2 D"]:
    """XLA's convolution in [N, H, W, C] layout."""
    return lax.conv_general_dilated(x, weight, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def convolve_same(x: Features, weight: Float[Array, "h w C D"]) -> Float[Array, "N H W D"]:
    """A zero-padded convolution of stride 1, with a weight gradient made for the platform.

    Args:
        x: features [N, H, W, C].
        weight: kernel of odd height and width [h, w, C, D].

    Returns:
        [N, H, W, D].
    """
    return _convolve_same_p.bind(x, weight)


def _forward(x, weight):
    if weight.shape[:2] == (1, 1):
        return x @ weight[0, 0]
    return convolve(x, weight, 1, "SAME")


def _input_gradient(cotangent, x, weight):
    return convolve_same(cotangent, weight[::-1, ::-1].swapaxes(2, 3))


def _weight_gradient(cotangent, x, weight):
    kernel = weight.aval.shape

    def by_xla(x, cotangent):
        return jax.linear_transpose(lambda w: _forward(x, w), jnp.zeros(kernel, x.dtype))(cotangent)[0]

    def by_chunks(x, cotangent):
        return _weight_gradient_by_chunks(x, cotangent, kernel)

    pixels = x.shape[1] * x.shape[2]
    if x.dtype != jnp.float32 or x.shape[3] < MIN_CHANNELS or (pixels < MIN_PIXELS and kernel[:2] != (1, 1)):
        return by_xla(x, cotangent)
    return lax.platform_dependent(x, cotangent, cpu=by_chunks, default=by_xla)


def _largest_divisor(number, limit):
    return max(d for d in range(1, number + 1) if number % d == 0 and d <= max(1, limit))


def _weight_gradient_by_chunks(x, cotangent, kernel):
    """sum over pixels of x^T [the shifted cotangents side by side], one matrix product per chunk of rows or images."""
    n, height, width, channels = x.shape
    rows = _largest_divisor(height, CHUNK_PIXELS // width)
    images = _largest_divisor(n, CHUNK_PIXELS // (rows * width)) if rows == height else 1
    chunks = height // rows
    (h, w), features = kernel[:2], kernel[3]
    padded = jnp.pad(cotangent, ((0, 0), (h // 2, h // 2), (w // 2, w // 2), (0, 0)))

    def add_chunk(i, total):
        image, row = i // chunks * images, i % chunks * rows
        pixels = lax.dynamic_slice(x, (image, row, 0, 0), (images, rows, width, channels))
        window = lax.dynamic_slice(padded, (image, row, 0, 0), (images, rows + h - 1, width + w - 1, features))
        shifted = [window[:, a : a + rows, b : b + width] for a in reversed(range(h)) for b in reversed(range(w))]
        columns = jnp.concatenate(shifted, -1).reshape(-1, h * w * features)
        return total + lax.dot_general(pixels.reshape(-1, channels), columns, (((0,), (0,)), ((), ())))

    total = jnp.zeros((channels, h * w * features), x.dtype)
    total = lax.fori_loop(0, n // images * chunks, add_chunk, total)
    return total.reshape(channels, h, w, features).transpose(1, 2, 0, 3)


def _batch(args, axes):
    (x, weight), (x_axis, weight_axis) = args, axes
    if weight_axis is not None:
        # Every example has its own kernel: rare (a sweep over networks), and XLA's own rule knows it.
        return jax.vmap(_forward, (x_axis, weight_axis))(x, weight), 0
    x = jnp.moveaxis(x, x_axis, 0)
    out = convolve_same(x.reshape(-1, *x.shape[2:]), weight)
    return out.reshape(*x.shape[:2], *out.shape[1:]), 0


_convolve_same_p = Primitive("convolve_same")
_convolve_same_p.def_impl(jax.jit(_forward))
_convolve_same_p.def_abstract_eval(lambda x, weight: x.update(shape=(*x.shape[:3], weight.shape[3])))
ad.defbilinear(_convolve_same_p, _input_gradient, _weight_gradient)
batching.primitive_batchers[_convolve_same_p] = _batch
mlir.register_lowering(_convolve_same_p, mlir.lower_fun(_forward, multiple_results=False))
