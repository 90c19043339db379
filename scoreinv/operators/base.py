"""Measurement operators A = P(mask) T as pytrees, and the measurements they make.

Song et al. 2022, section 3.1: in medical imaging a measurement is a subsample of an invertible transform. The
measurement keeps the full shape of T's output with zeros where the mask is 0, so that every shape is static and the
mask is data: another acceleration or view count compiles nothing.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact, Num, PRNGKeyArray

from scoreinv.typing import Image

Coefficients = Inexact[Array, "..."]
Mask = Num[Array, "..."]


@runtime_checkable
class Transform(Protocol):
    """A full transform T, a pytree whose leaves are geometry tables (angles, coil maps, gridding weights)."""

    def forward(self, x: Image) -> Coefficients:
        """T x, the coefficients of an image."""
        ...

    def adjoint(self, z: Coefficients) -> Image:
        """T^H z, the exact adjoint of `forward` for the real inner product Re<a, b>."""
        ...

    def inverse(self, z: Coefficients, mask: Mask | None = None) -> Image:
        """T^-1 z of zero-filled coefficients: exact for Fourier, filtered back-projection for Radon."""
        ...

    def pseudo_inverse(self, mask: Mask, z: Coefficients) -> Image:
        """A^+ z for A = P(mask) T, the minimum-norm image whose measured coefficients are (closest to) z."""
        ...


@runtime_checkable
class NormalTransform(Transform, Protocol):
    """A transform that has T^H T in a faster form than `forward` and `adjoint` one after the other."""

    def normal(self, x: Image) -> Image:
        """T^H T x."""
        ...


class ForwardModel(Protocol):
    """What makes the coefficients of an object: a transform, or a finer model that only simulates."""

    def forward(self, x: Image) -> Coefficients:
        """The coefficients of an object."""
        ...


@runtime_checkable
class FinerTransform(Protocol):
    """A transform that also has a forward model of objects with smaller pixels than its images."""

    def finer(self, factor: int) -> ForwardModel:
        """The model that takes an object of `factor` times smaller pixels to the same coefficients."""
        ...


@flax.struct.dataclass
class LinearOperator:
    """A = P(mask) T, zero-filled (Song et al. 2022, eq. 3).

    Attributes:
        mask: 1 where a coefficient is measured, 0 elsewhere; broadcasts to the coefficients.
        transform: the full transform T.

    >>> mask = scoreinv.equispaced_mask((8, 8), 2, 0.25)
    >>> operator = scoreinv.LinearOperator(mask, scoreinv.FourierTransform())
    >>> operator(image).shape, operator.inverse(operator(image)).shape
    ((8, 8), (8, 8, 1))
    """

    # JAX also fills the fields of a pytree with batches and placeholders; the annotations describe a single one.
    __no_type_check__ = True

    mask: Mask
    transform: Transform

    # Compiled: outside of a program a call is one of its own, and not one for each of its operations.
    @jax.jit
    def __call__(self, x: Image) -> Coefficients:
        return self.mask * self.transform.forward(x)

    @jax.jit
    def adjoint(self, y: Coefficients) -> Image:
        """A^H y."""
        return self.transform.adjoint(self.mask * y)

    @property
    def has_fast_normal(self) -> bool:
        """Whether `normal` costs less than A and A^H: the transform has a form of its own, and all is measured."""
        return isinstance(self.transform, NormalTransform) and self.mask.size == 1

    def normal(self, x: Image) -> Image:
        """A^H A x."""
        if isinstance(self.transform, NormalTransform) and self.has_fast_normal:
            return self.mask.reshape(()) ** 2 * self.transform.normal(x)
        return self.adjoint(self(x))

    @jax.jit
    def inverse(self, y: Coefficients) -> Image:
        """The classical one-shot image: zero-filled inverse FFT, FBP over the measured views."""
        return self.transform.inverse(self.mask * y, self.mask)

    @jax.jit
    def pseudo_inverse(self, y: Coefficients) -> Image:
        """A^+ y: what the proximal step adds to an image whose residual is y."""
        return self.transform.pseudo_inverse(self.mask, self.mask * y)


class Measurement(NamedTuple):
    """What a scanner delivers: zero-filled samples, the operator that made them, and their noise level.

    `noise_std` is the standard deviation of each real number measured (of the real and of the imaginary part
    separately for k-space), in the unit of `y`.

    >>> y, operator, noise_std = measurement
    >>> y.shape, round(float(noise_std), 3)
    ((8, 8), 0.01)
    """

    y: Coefficients
    operator: LinearOperator
    noise_std: Float[Array, ""]


def misfit_gradient(measurement: Measurement) -> Callable[[Image], Image]:
    """x -> A^H (A x - y), the gradient of |y - A x|^2 / 2; A^H y once where A has a fast normal operator."""
    y, operator, _ = measurement
    if not operator.has_fast_normal:
        return lambda x: operator.adjoint(operator(x) - y)
    back = operator.adjoint(y)
    return lambda x: operator.normal(x) - back


def simulate(
    key: PRNGKeyArray,
    operator: LinearOperator,
    x: Image,
    noise_std: Float[Array, ""] | float | int,
    oversample: int = 1,
) -> Measurement:
    """Measures an image: y = A x + n with Gaussian n on the measured samples only.

    Data made by the operator that reconstructs them flatter every method (the inverse crime, Colton and Kress 1992).
    With `oversample` = 2 the object has pixels half as large, and an independent model of it makes the data; the image
    to compare with is `block_mean(x, 2)`.

    Args:
        key: PRNG key of the noise.
        operator: the measurement operator.
        x: true image [H, W, C], intensities in [0, 1]; with `oversample` = s, of s H x s W pixels.
        noise_std: standard deviation of the noise on each real number measured, in the unit of y.
        oversample: pixels of the object per pixel and axis. Above 1 outside of compiled functions only.

    Returns:
        The measurement; entries of y outside the mask are zero.

    Raises:
        ValueError: see `forward_model`.

    >>> measured = scoreinv.simulate(key, measurement.operator, image, noise_std=0.01)
    >>> bool((measured.y[:, 0] == 0).all()), round(float(measured.noise_std), 3)
    (True, 0.01)
    """
    noise_std = jnp.asarray(noise_std, jnp.float32)
    y = _noisy(key, operator.mask, forward_model(operator.transform, oversample), x, noise_std)
    return Measurement(y, operator, noise_std)


@jax.jit
def _noisy(key, mask, model, x, noise_std):
    y = mask * model.forward(x)
    parts = (2, *y.shape) if jnp.iscomplexobj(y) else (1, *y.shape)
    noise = jax.random.normal(key, parts)
    noise = jax.lax.complex(noise[0], noise[1]) if jnp.iscomplexobj(y) else noise[0]
    return y + noise_std * (mask != 0) * noise


def forward_model(transform: Transform, oversample: int) -> ForwardModel:
    """The model that simulates data: the transform itself, or a finer one.

    Raises:
        ValueError: `oversample` below 1, or above 1 for a transform without a finer model.
    """
    if oversample == 1:
        return transform
    if oversample < 1:
        raise ValueError(f"oversample={oversample}; give 1 (the operator's own model) or a larger integer")
    if not isinstance(transform, FinerTransform):
        raise ValueError(f"oversample={oversample}, but {type(transform).__name__} has no finer model; set it to 1")
    return transform.finer(oversample)


def block_mean(x: Image, factor: int) -> Image:
    """The image of `factor` times larger pixels, each the mean of those that it covers."""
    height, width, channels = x.shape
    return x.reshape(height // factor, factor, width // factor, factor, channels).mean((1, 3))


def check_measurement(measurement: Measurement, shape: tuple[int, int, int]) -> None:
    """Refuses a measurement that no image of `shape` can have made (host side, before anything is compiled).

    Args:
        measurement: the measurement of one image.
        shape: (H, W, C) of the image to reconstruct.

    Raises:
        ValueError: the mask is all zero, is not 0/1 or does not fit the data; y has another shape than the operator's
            output, or holds NaN or Inf.
    """
    y, operator, noise_std = measurement
    check_mask(np.asarray(operator.mask), y.shape)
    expected = jax.eval_shape(operator.transform.forward, jax.ShapeDtypeStruct(shape, jnp.float32))
    if y.shape != expected.shape:
        raise ValueError(
            f"measurement of shape {y.shape}, but images of shape {shape} give {expected.shape}; "
            "build the operator for the geometry of the data"
        )
    bad = int(np.sum(~np.isfinite(np.asarray(y))))
    if bad:
        raise ValueError(f"measurement holds NaN or Inf in {bad} of {y.size} samples; zero them in data and mask")
    if not 0 <= float(noise_std) < np.inf:
        raise ValueError(f"noise_std is {float(noise_std)}; give a finite standard deviation >= 0")


def check_mask(mask: np.ndarray, shape: tuple[int, ...]) -> None:
    """Refuses a mask that cannot select from coefficients of `shape`.

    Raises:
        ValueError: the mask does not broadcast to `shape`, is all zero, or holds other values than 0 and 1.
    """
    fits = mask.ndim <= len(shape) and all(m in (1, n) for m, n in zip(mask.shape[::-1], shape[::-1], strict=False))
    if not fits:
        raise ValueError(
            f"mask of shape {mask.shape} for data of shape {shape}; each axis must have the data's size or 1"
        )
    if not np.all((mask == 0) | (mask == 1)):
        raise ValueError("mask holds values other than 0 and 1; threshold it first")
    if not np.any(mask):
        raise ValueError("mask is all zero, nothing is measured; keep at least one sample at 1")
