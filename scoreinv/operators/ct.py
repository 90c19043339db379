"""Computed tomography: the matrix-free parallel-beam Radon transform, filtered back-projection, and view masks.

Lengths are in pixels, angles in radians. The ray of angle theta at detector position s is the line
u cos(theta) + v sin(theta) = s, with u to the right and v upwards from the centre of the image. Detectors have spacing
1 and are centred on the same point where nothing else is said. An image [H, W, 1] gives a sinogram [views, detectors];
an image [H, W, 2] (real and imaginary part) a complex one. Projections are integrals over strips one detector wide of
an image of square pixels, in pixel lengths.
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Inexact

from scoreinv.operators.base import LinearOperator, Mask, Transform
from scoreinv.operators.filters import hann, padded_length, ramp_filter, view_weights
from scoreinv.operators.gridding import Gridding, even_fast_length, gridding, spectrum, table
from scoreinv.operators.linear_solvers import least_squares
from scoreinv.typing import Image

Sinogram = Inexact[Array, "views detectors"]
SATURATION = 0.75
WINDOWS = ("ramp", "hann")


@flax.struct.dataclass
class RadonTransform:
    """Parallel-beam Radon transform by the Fourier slice theorem; built by `radon_transform`.

    Attributes:
        angles: view angles [views], radians.
        plan: where the slices lie on the image's Fourier grid.
        response: pixel and detector response S with the phases that centre image and detector.
        equalizer: 1 / S^2 at the frequencies of the zero-padded projections, for the filters; 0 above the image's own.
        pitch: detector spacing, pixels.
        offset: s of the middle of the detector, one for all views or for each, pixels.
        shape: (H, W) of the image.
        detectors: number of detector bins.
        samples: length of the transform along a projection, some of whose end is not seen.
        steps: conjugate-gradient steps of the pseudo-inverse.
    """

    __no_type_check__ = True  # see LinearOperator

    angles: Float[Array, " views"]
    plan: Gridding
    response: Complex[Array, "views K"]
    equalizer: Float[Array, "views padded"]
    pitch: Float[Array, ""]
    offset: Float[Array, "..."]
    shape: tuple[int, int] = flax.struct.field(pytree_node=False)
    detectors: int = flax.struct.field(pytree_node=False)
    samples: int = flax.struct.field(pytree_node=False)
    steps: int = flax.struct.field(pytree_node=False, default=3)

    def forward(self, x: Image) -> Sinogram:
        """T x, the sinogram [views, detectors] in intensity times pixel length."""
        parts = [self._project(x[..., c]) for c in range(x.shape[-1])]
        return parts[0] if len(parts) == 1 else jax.lax.complex(*parts)

    def adjoint(self, z: Sinogram) -> Image:
        """T^H z, unfiltered back-projection."""
        zero = jnp.zeros(self.shape, jnp.float32)
        transpose = jax.vjp(self._project, zero)[1]
        parts = (z.real, z.imag) if jnp.iscomplexobj(z) else (z,)
        return jnp.stack([transpose(part)[0] for part in parts], axis=-1)

    def inverse(self, z: Sinogram, mask: Mask | None = None) -> Image:
        """Filtered back-projection of the measured views with the ramp filter."""
        return self.fbp(z, mask)

    def fbp(self, z: Sinogram, mask: Mask | None = None, window: str = "ramp") -> Image:
        """Filtered back-projection; each view weighs as much as the angle it stands for.

        Args:
            z: sinogram [views, detectors].
            mask: 1 where measured; only views with a measured ray count. None: all.
            window: "ramp" (Ram-Lak) or "hann", which damps high frequencies.

        Returns:
            The image [H, W, C].

        Raises:
            ValueError: unknown window.
        """
        if window not in WINDOWS:
            raise ValueError(f"unknown FBP window {window!r}; choose one of {', '.join(WINDOWS)}")
        gain = ramp_filter(padded_length(self.detectors)) * (
            hann(padded_length(self.detectors)) if window == "hann" else 1
        )
        # The adjoint carries the response S once more where an inverse divides by it: hence the equalizer 1 / S^2.
        return self.adjoint(self._filter(z, self._view_weights(z, mask) * gain))

    def pseudo_inverse(self, mask: Mask, z: Sinogram) -> Image:
        """A^+ z by `steps` conjugate-gradient steps, weighted with a ramp filter that saturates.

        The weight min(|w| dtheta, 0.75 2 pi / N) / (2 pi S^2) approximates (A A^H)^-1: at low frequencies neighbouring
        views share |w| dtheta of their information, at high ones a ray overlaps with none but itself.
        """
        operator = LinearOperator(mask, self)
        gain = jnp.minimum(
            self._view_weights(z, mask) * ramp_filter(padded_length(self.detectors)),
            SATURATION * self.pitch / max(self.shape),
        )
        return least_squares(operator, operator.adjoint, z, self.steps, lambda r: mask * self._filter(mask * r, gain))

    def finer(self, factor: int) -> "FinerRays":
        """The forward model of an object of `factor` times smaller pixels, to simulate data with (host side)."""
        shape = (factor * self.shape[0], factor * self.shape[1])
        offset = factor * np.asarray(self.offset, np.float64)
        fine = radon_transform(
            np.asarray(self.angles), shape, factor * self.detectors, pitch=float(self.pitch), offset=offset
        )
        return FinerRays(fine, factor)

    def _view_weights(self, z, mask):
        mask = jnp.ones(()) if mask is None else mask
        return view_weights(self.angles, jnp.any(jnp.broadcast_to(mask != 0, z.shape), axis=1))[:, None]

    @jax.jit
    def _filter(self, z, gain):
        def one(z):
            n = padded_length(self.detectors)
            return jnp.fft.irfft(gain * self.equalizer * jnp.fft.rfft(z, n), n)[:, : self.detectors]

        return jax.lax.complex(one(z.real), one(z.imag)) if jnp.iscomplexobj(z) else one(z)

    @jax.jit
    def _project(self, x):
        return jnp.fft.irfft(self.response * spectrum(self.plan, x), self.samples)[:, : self.detectors]


@flax.struct.dataclass
class FinerRays:
    """Projections of an object [factor H, factor W, C], binned to the detectors of a coarser transform.

    Attributes:
        rays: the transform of the object, parallel or a fan, with pixels and columns 1 / factor as wide.
        factor: pixels of the object per pixel of the image and axis.
    """

    __no_type_check__ = True  # see LinearOperator

    rays: Transform
    factor: int = flax.struct.field(pytree_node=False)

    def forward(self, x: Image) -> Sinogram:
        """The sinogram [views, detectors] in intensity times the length of a large pixel."""
        z = self.rays.forward(x)
        return z.reshape(z.shape[0], -1, self.factor).mean(-1) / self.factor


def radon_transform(
    angles: Float[Array, " views"] | np.ndarray,
    shape: tuple[int, int],
    detectors: int = 0,
    steps: int = 3,
    pitch: float = 1.0,
    offset: float | np.ndarray = 0.0,
    averages: bool = False,
) -> RadonTransform:
    """Prepares a Radon transform (host side; the result is a pytree to pass to compiled functions).

    Args:
        angles: view angles [views], radians, in any order.
        shape: (H, W) of the image.
        detectors: number of detector bins; 0 takes the smallest number that sees the whole image.
        steps: conjugate-gradient steps of the pseudo-inverse.
        pitch: width and spacing of the bins, pixels.
        offset: s of the middle of the detector, pixels, one for all views or [views]: `pitch` times the columns between
            the axis of rotation and the middle.
        averages: the image holds averages over pixels of a band-limited object; False: an object that is constant
            within pixels, as what is simulated from an image is.

    Returns:
        The transform.

    Raises:
        ValueError: no view, or a non-positive size.

    >>> angles = scoreinv.uniform_angles(4)
    >>> scoreinv.radon_transform(angles, (8, 8), detectors=12).forward(image).shape
    (4, 12)
    """
    angles, offset = np.asarray(angles, np.float64), np.asarray(offset, np.float64)
    reach = float(np.abs(offset).max(initial=0.0))
    if angles.ndim != 1 or not angles.size or min(*shape, steps) < 1 or detectors < 0 or not 0 < pitch < np.inf:
        raise ValueError(
            f"angles of shape {angles.shape}, image {shape}, {detectors} detectors of {pitch:g} pixels, {steps} steps; "
            "give one axis of at least one angle, and positive sizes"
        )
    detectors = detectors or int(np.ceil((np.hypot(*shape) + 2 * reach) / pitch))
    # Long enough that the periodic copies of a projection stay off the detector.
    seen = (np.hypot(*shape) / pitch + detectors) / 2 + reach / pitch
    samples = even_fast_length(max(detectors, int(np.ceil(seen)) + 2))
    frequencies, omega, boxes = slices(angles, samples, pitch, averages)
    start = offset.reshape(-1, 1) - pitch * (detectors - 1) / 2
    phase = np.exp(1j * (omega * start - (frequencies * corner(shape)).sum(0)))
    return RadonTransform(
        angles=table(angles),
        plan=gridding(frequencies, shape),
        response=table(boxes * phase / pitch, np.complex64),
        equalizer=table(equalizer(angles, padded_length(detectors), pitch, averages)),
        pitch=jnp.float32(pitch),
        offset=table(offset),
        shape=(shape[0], shape[1]),
        detectors=detectors,
        samples=samples,
        steps=steps,
    )


def corner(shape: tuple[int, int]) -> Float[np.ndarray, "2 1 1"]:
    """(row, column) of the image's centre from where FFT has it: half a pixel for even sides."""
    return np.array([n // 2 - (n - 1) / 2 for n in shape]).reshape(2, 1, 1)


def slices(
    angles: Float[np.ndarray, " views"], n: int, pitch: float = 1.0, averages: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the slices of n samples lie in the image's spectrum: no further out than its pixels resolve.

    Args:
        angles: radians [views].
        n: number of samples.
        pitch: their spacing, pixels.
        averages: see `radon_transform`.

    Returns:
        (row and column frequencies [2, views, K], their radii [K], response of pixel and detector bin [views, K]).
    """
    omega = 2 * np.pi * np.arange(n // 2 + 1) / (n * pitch)
    omega = omega[omega <= np.pi * (1 + 1e-9)]
    frequencies = np.stack([-np.sin(angles)[:, None] * omega, np.cos(angles)[:, None] * omega])
    return frequencies, omega, pixel_response(frequencies, averages) * np.sinc(pitch * omega / (2 * np.pi))


def pixel_response(frequencies: Float[np.ndarray, "2 ..."], averages: bool) -> Float[np.ndarray, "..."]:
    """Spectrum of the object that has the image, relative to the image's: of squares, or of what was averaged over."""
    square = np.sinc(frequencies / (2 * np.pi)).prod(0)
    return 1 / square if averages else square


def equalizer(
    angles: Float[np.ndarray, " views"], n: int, pitch: float, averages: bool = False
) -> Float[np.ndarray, "views frequencies"]:
    """1 / S^2 at the frequencies of projections of n samples; 0 above those of the image. Arguments as of `slices`."""
    inside = slices(angles, n, pitch, averages)[2] ** -2
    return np.pad(inside, ((0, 0), (0, n // 2 + 1 - inside.shape[1])))


def uniform_angles(views: int) -> Float[Array, " views"]:
    """`views` equispaced angles in [0, pi), radians.

    >>> [round(float(angle), 3) for angle in scoreinv.uniform_angles(4)]
    [0.0, 0.785, 1.571, 2.356]
    """
    return jax.device_put(np.float32(np.pi) * np.arange(views, dtype=np.float32) / np.float32(views))


def sparse_view_mask(views_total: int, views: int) -> Float[Array, "views 1"]:
    """Every (views_total / views)-th view, rounded.

    Args:
        views_total: number of views of the transform.
        views: number of measured views.

    Returns:
        The mask [views_total, 1], 1 where measured.

    Raises:
        ValueError: views below 1 or above views_total.

    >>> scoreinv.sparse_view_mask(8, 4)[:, 0].tolist()
    [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]
    """
    if not 1 <= views <= views_total:
        raise ValueError(f"{views} views of {views_total}; give a number from 1 to {views_total}")
    mask = np.zeros((views_total, 1), np.float32)
    mask[np.round(np.arange(views) * views_total / views).astype(int)] = 1
    return jax.device_put(mask)


def limited_angle_mask(views_total: int, degrees: float | int, start: float | int = 0.0) -> Float[Array, "views 1"]:
    """The views within a contiguous range of angles, for a transform of `uniform_angles(views_total)`.

    Args:
        views_total: number of views of the transform.
        degrees: length of the range.
        start: first angle in degrees; the range wraps around at 180.

    Returns:
        The mask [views_total, 1], 1 where measured.

    Raises:
        ValueError: a range that is empty or longer than 180 degrees.
    """
    if not 0 < degrees <= 180:
        raise ValueError(f"limited angle of {degrees} degrees; give a range above 0 and up to 180")
    position = np.mod(180 * np.arange(views_total) / views_total - start + 1e-9, 180)
    return jax.device_put(np.float32(position[:, None] < degrees))
