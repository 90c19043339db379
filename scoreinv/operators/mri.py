"""Magnetic resonance imaging: centred orthonormal Fourier transforms, single and multi coil.

k-space has its zero frequency at [H // 2, W // 2] and the image its origin there too. Real images have one channel,
complex ones two (real and imaginary part).
"""

from functools import partial

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from scoreinv.operators.base import LinearOperator, Mask
from scoreinv.operators.linear_solvers import least_squares
from scoreinv.typing import Image

Kspace = Complex[Array, "H W"]
CoilKspace = Complex[Array, "coils H W"]


@partial(jax.jit, static_argnames="axes")
def fft2c(
    x: Complex[Array, "*batch H W"] | Float[Array, "*batch H W"], axes: tuple[int, ...] = (-2, -1)
) -> Complex[Array, "*batch H W"]:
    """Centred orthonormal Fourier transform over the last two axes, or one of them."""
    return _centred(jnp.fft.fftn, x, axes)


@partial(jax.jit, static_argnames="axes")
def ifft2c(z: Complex[Array, "*batch H W"], axes: tuple[int, ...] = (-2, -1)) -> Complex[Array, "*batch H W"]:
    """Inverse (and adjoint) of `fft2c`."""
    return _centred(jnp.fft.ifftn, z, axes)


def _centred(transform, x, axes: tuple[int, ...]):
    """A transform about the middle of every axis: shifted, but along even ones, where alternating signs do the same.

    exp(-2 pi i (j - n/2) (k - n/2) / n) = (-1)^(n/2) (-1)^j (-1)^k exp(-2 pi i j k / n). Products with signs fuse with
    what stands beside them, shifts are copies of all coils.
    """
    odd = tuple(axis for axis in axes if x.shape[axis] % 2)
    even = [axis % x.ndim for axis in axes if x.shape[axis] % 2 == 0]
    places = [np.arange(n).reshape(-1, *[1] * (x.ndim - 1 - axis)) for axis, n in enumerate(x.shape) if axis in even]
    signs = jnp.asarray(1 - 2 * (sum(places) % 2), jnp.float32) if even else 1
    turn = (-1) ** (sum(x.shape[axis] // 2 for axis in even) % 2)
    z = transform(jnp.fft.ifftshift(signs * x, odd), axes=axes, norm="ortho")
    return turn * signs * jnp.fft.fftshift(z, odd)


def to_complex(x: Image) -> Float[Array, "H W"] | Complex[Array, "H W"]:
    """An image [H, W, C] as an array [H, W]: real for C = 1, complex for C = 2."""
    if x.shape[-1] not in (1, 2):
        raise ValueError(f"image with {x.shape[-1]} channels; MRI takes 1 (real) or 2 (real and imaginary part)")
    return x[..., 0] if x.shape[-1] == 1 else jax.lax.complex(x[..., 0], x[..., 1])


def to_channels(x: Complex[Array, "H W"], channels: int) -> Image:
    """The adjoint of `to_complex`: the real part, or real and imaginary part."""
    parts = (x.real,) if channels == 1 else (x.real, x.imag)
    return jnp.stack(parts, axis=-1)


def reflect(z: Array) -> Array:
    """z at the negative frequencies: k -> -k in centred order, over the last two axes."""
    for axis in (-2, -1):
        z = jnp.flip(z, axis)
        # Even sizes hold the Nyquist frequency once, in front; it is its own negative.
        z = jnp.roll(z, 1, axis) if z.shape[axis] % 2 == 0 else z
    return z


@flax.struct.dataclass
class FourierTransform:
    """Single-coil MRI: T is the centred orthonormal 2-D Fourier transform, image [H, W, C] -> k-space [H, W].

    Attributes:
        channels: 1 for real images, 2 for complex ones.

    >>> kspace = scoreinv.FourierTransform().forward(image)
    >>> kspace.shape, kspace.dtype.name
    ((8, 8), 'complex64')
    """

    __no_type_check__ = True  # see LinearOperator

    channels: int = flax.struct.field(pytree_node=False, default=1)

    def forward(self, x: Image) -> Kspace:
        """T x."""
        return fft2c(to_complex(x))

    def adjoint(self, z: Kspace) -> Image:
        """T^H z."""
        return to_channels(ifft2c(z), self.channels)

    def inverse(self, z: Kspace, mask: Mask | None = None) -> Image:
        """T^-1 z = T^H z; the zero-filled image, whatever the mask."""
        return self.adjoint(z)

    def pseudo_inverse(self, mask: Mask, z: Kspace) -> Image:
        """A^+ z in closed form.

        Complex images: A^H z. A real image's spectrum is Hermitian, X(-k) = conj X(k), so its least-squares fit is
        X(k) = (m(k) z(k) + m(-k) conj z(-k)) / (m(k) + m(-k)): the mean where k and -k are measured, the one sample
        where only one is, and zero where none is.
        """
        z = mask * z
        if self.channels == 1:
            mask = jnp.broadcast_to(mask, z.shape)
            count = mask + reflect(mask)
            z = (z + jnp.conj(reflect(z))) / jnp.maximum(count, 1)
        return self.adjoint(z)

    def finer(self, factor: int) -> "FinerFourier":
        """The forward model of an object of `factor` times smaller pixels, to simulate data with."""
        return FinerFourier(factor)


@flax.struct.dataclass
class FinerFourier:
    """The k-space [H, W] that a scanner samples of an object [factor H, factor W, C]: its low frequencies.

    Attributes:
        factor: pixels of the object per pixel of the image and axis.
    """

    factor: int = flax.struct.field(pytree_node=False)

    def forward(self, x: Image) -> Kspace:
        """The low frequencies of x in the scale and with the origin that `FourierTransform` has for its block means."""
        z = fft2c(to_complex(x)) / self.factor
        for axis, fine in enumerate(x.shape[:2]):
            n = fine // self.factor
            z = jax.lax.slice_in_dim(z, fine // 2 - n // 2, fine // 2 - n // 2 + n, axis=axis)
            # A large pixel's centre lies between those of the small ones that it covers.
            shift = (self.factor * (n // 2) + (self.factor - 1) / 2 - fine // 2) / self.factor
            phase = np.exp(2j * np.pi * shift * (np.arange(n) - n // 2) / n)
            z = z * jnp.asarray(np.expand_dims(phase, 1 - axis), jnp.complex64)
        return z


@flax.struct.dataclass
class SenseTransform:
    """Multi-coil MRI (Pruessmann et al. 1999): T x = (F S_c x)_c, image [H, W, C] -> k-space [coils, H, W].

    With several sets of sensitivities (Uecker et al. 2014) x is as many complex images, two channels each, and T x =
    (F sum_j S_jc x_j)_c.

    Attributes:
        coils: coil sensitivities [coils, H, W], or several sets [sets, coils, H, W] that are orthogonal at every pixel.
        channels: 1 for real images, 2 for complex ones, 2 for each set where there are several.
        steps: conjugate-gradient steps of the pseudo-inverse.
        axes: those that F transforms. Along an axis that is measured throughout, or not at all, a transform of the data
            changes nothing, and data without it (-1 alone: of columns) halve the work.

    >>> coils = jnp.ones((4, 8, 8), jnp.complex64) / 2
    >>> scoreinv.SenseTransform(coils).forward(image).shape
    (4, 8, 8)
    """

    __no_type_check__ = True  # see LinearOperator

    coils: CoilKspace
    channels: int = flax.struct.field(pytree_node=False, default=2)
    steps: int = flax.struct.field(pytree_node=False, default=10)
    axes: tuple[int, ...] = flax.struct.field(pytree_node=False, default=(-2, -1))

    def forward(self, x: Image) -> CoilKspace:
        """T x."""
        if self.channels <= 2:
            return fft2c(self.coils * to_complex(x), self.axes)
        images = jax.lax.complex(x[..., 0::2], x[..., 1::2])
        return fft2c(jnp.einsum("jchw,hwj->chw", self.coils, images), self.axes)

    def adjoint(self, z: CoilKspace) -> Image:
        """T^H z."""
        if self.channels <= 2:
            return to_channels(jnp.sum(jnp.conj(self.coils) * ifft2c(z, self.axes), axis=0), self.channels)
        images = jnp.einsum("jchw,chw->hwj", jnp.conj(self.coils), ifft2c(z, self.axes))
        return jnp.stack([images.real, images.imag], -1).reshape(*images.shape[:2], self.channels)

    def inverse(self, z: CoilKspace, mask: Mask | None = None) -> Image:
        """(T^H T)^-1 T^H z, the coil images combined by their sensitivities; zero where no coil sees anything."""
        power = jnp.sum(jnp.abs(self.coils) ** 2, axis=-3)
        power = power[..., None] if self.channels <= 2 else jnp.repeat(jnp.moveaxis(power, 0, -1), 2, axis=-1)
        return jnp.where(power > 0, self.adjoint(z) / jnp.where(power > 0, power, 1), 0)

    def pseudo_inverse(self, mask: Mask, z: CoilKspace) -> Image:
        """A^+ z by `steps` conjugate-gradient steps (Pruessmann et al. 2001)."""
        operator = LinearOperator(mask, self)
        return least_squares(operator, operator.adjoint, mask * z, self.steps)
