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

    def normal(self, x: Image) -> Image:
        """A^H A x."""
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


def inner(a: Inexact[Array, "*shape"], b: Inexact[Array, "*shape"]) -> Float[Array, ""]:
    """The real inner product Re<a, b>, for which a complex image is two real channels."""
    return jnp.sum(jnp.real(a) * jnp.real(b) + jnp.imag(a) * jnp.imag(b))


def _ratio(a, b):
    # 0/0 at a residual of exactly zero means: nothing left to do.
    return jnp.where(b > 0, a / jnp.where(b > 0, b, 1), 0)


def conjugate_gradient(
    matvec: Callable[[Array], Array],
    b: Inexact[Array, "*shape"],
    x0: Inexact[Array, "*shape"],
    steps: int,
    preconditioner: Callable[[Array], Array] | None = None,
) -> Inexact[Array, "*shape"]:
    """A fixed number of preconditioned conjugate-gradient steps on M x = b (Hestenes and Stiefel 1952).

    Args:
        matvec: x -> M x with M self-adjoint and positive semidefinite for Re<a, b>.
        b: right-hand side.
        x0: start.
        steps: number of steps, one `matvec` each besides that of the start.
        preconditioner: r -> approximation of M^-1 r, self-adjoint and positive; identity if None.

    Returns:
        The iterate. A residual at the rounding error of b and M x0 stays there: what is left of it lies partly in the
        null space of a singular M, along which a step has no end.
    """
    precondition = preconditioner or (lambda r: r)
    start = matvec(x0)
    rounding = 64 * float(jnp.finfo(b.dtype).eps) ** 2 * (inner(b, b) + inner(start, start))

    def step(carry, _):
        x, r, p, rho = carry
        q = matvec(p)
        a = jnp.where(inner(r, r) > rounding, _ratio(rho, inner(p, q)), 0)
        r = r - a * q
        z = precondition(r)
        rho_next = inner(r, z)
        return (x + a * p, r, z + _ratio(rho_next, rho) * p, rho_next), None

    r = b - start
    z = precondition(r)
    return jax.lax.scan(step, (x0, r, z, inner(r, z)), length=steps)[0][0]


def least_squares(
    forward: Callable[[Image], Coefficients],
    adjoint: Callable[[Coefficients], Image],
    y: Coefficients,
    steps: int,
    weight: Callable[[Coefficients], Coefficients] | None = None,
) -> Image:
    """A^+ y: conjugate gradients on the weighted normal equations A^H W A x = A^H W y, started at zero.

    The iterates lie in the range of A^H, so the limit is the minimum-norm solution for consistent y and the W-least-
    squares image for noisy y; conjugate gradients on A A^H w = y would divide by zero once a residual leaves the range
    of A. With consistent y the map e -> e - lam A^+ A e never expands for lam in [0, 2], after any number of steps: the
    iterates x_k approach the solution x monotonically with <x_k, x - x_k> >= 0 (Hestenes and Stiefel 1952, section 6).

    Args:
        forward: x -> A x.
        adjoint: y -> A^H y, its exact adjoint.
        y: zero-filled coefficients.
        steps: number of steps, one `forward` and one `adjoint` each; it stops early where the gradient has shrunk a
            million times.
        weight: y -> W y, self-adjoint and positive on the measured samples, close to (A A^H)^+; identity if None.

    Returns:
        The image [H, W, C].
    """
    weigh = weight or (lambda r: r)
    zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(adjoint, y))

    def step(carry, _):
        x, r, p, rho, largest = carry
        s = adjoint(r)
        rho_next = inner(s, s)
        largest = jnp.maximum(largest, rho_next)
        p = s + _ratio(rho_next, rho) * p
        q = forward(p)
        wq = weigh(q)
        a = _ratio(rho_next, inner(q, wq))
        # A gradient at rounding level: stay. The steps after convergence (one, for a Fourier mask) would grow.
        a = jnp.where(rho_next > 1e-12 * largest, a, 0.0)
        return (x + a * p, r - a * wq, p, rho_next, largest), None

    none = jnp.zeros(())
    return jax.lax.scan(step, (zero, weigh(y), zero, none, none), length=steps)[0][0]
