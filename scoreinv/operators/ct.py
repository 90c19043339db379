"""Computed tomography: the matrix-free parallel-beam Radon transform, filtered back-projection, and view masks.

Pixel spacing 1, detector spacing 1, angles in radians. The ray of angle theta at detector position s is the line
u cos(theta) + v sin(theta) = s, with u to the right and v upwards from the centre of the image; detectors are centred
on the same point. An image [H, W, 1] gives a sinogram [views, detectors]; an image [H, W, 2] (real and imaginary part)
a complex one. Projections are integrals over strips one detector wide of an image of square pixels, in pixel lengths.
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Inexact

from scoreinv.operators.base import LinearOperator, Mask, least_squares
from scoreinv.operators.gridding import Gridding, even_fast_length, gridding, spectrum
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
        equalizer: 1 / S^2 at the frequencies of the zero-padded projections, for the filters.
        shape: (H, W) of the image.
        detectors: number of detector bins.
        steps: conjugate-gradient steps of the pseudo-inverse.
    """

    __no_type_check__ = True  # see LinearOperator

    angles: Float[Array, " views"]
    plan: Gridding
    response: Complex[Array, "views K"]
    equalizer: Float[Array, "views padded"]
    shape: tuple[int, int] = flax.struct.field(pytree_node=False)
    detectors: int = flax.struct.field(pytree_node=False)
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
        gain = ramp_filter(_padded_length(self.detectors)) * (
            hann(_padded_length(self.detectors)) if window == "hann" else 1
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
            self._view_weights(z, mask) * ramp_filter(_padded_length(self.detectors)), SATURATION / max(self.shape)
        )
        return least_squares(operator, operator.adjoint, z, self.steps, lambda r: mask * self._filter(mask * r, gain))

    def finer(self, factor: int) -> "FinerRadon":
        """The forward model of an object of `factor` times smaller pixels, to simulate data with (host side)."""
        shape = (factor * self.shape[0], factor * self.shape[1])
        return FinerRadon(radon_transform(np.asarray(self.angles), shape, factor * self.detectors), factor)

    def _view_weights(self, z, mask):
        mask = jnp.ones(()) if mask is None else mask
        return view_weights(self.angles, jnp.any(jnp.broadcast_to(mask != 0, z.shape), axis=1))[:, None]

    def _filter(self, z, gain):
        def one(z):
            n = _padded_length(self.detectors)
            return jnp.fft.irfft(gain * self.equalizer * jnp.fft.rfft(z, n), n)[:, : self.detectors]

        return jax.lax.complex(one(z.real), one(z.imag)) if jnp.iscomplexobj(z) else one(z)

    def _project(self, x):
        n = _slice_length(self.shape, self.detectors)
        return jnp.fft.irfft(self.response * spectrum(self.plan, x), n)[:, : self.detectors]


@flax.struct.dataclass
class FinerRadon:
    """Projections of an object [factor H, factor W, C], binned to the detectors of a coarser transform.

    Attributes:
        radon: the transform of the object and a detector, both with spacing 1 / factor.
        factor: pixels of the object per pixel of the image and axis.
    """

    __no_type_check__ = True  # see LinearOperator

    radon: RadonTransform
    factor: int = flax.struct.field(pytree_node=False)

    def forward(self, x: Image) -> Sinogram:
        """The sinogram [views, detectors] in intensity times the length of a large pixel."""
        z = self.radon.forward(x)
        return z.reshape(z.shape[0], -1, self.factor).mean(-1) / self.factor


def radon_transform(
    angles: Float[Array, " views"] | np.ndarray, shape: tuple[int, int], detectors: int = 0, steps: int = 3
) -> RadonTransform:
    """Prepares a Radon transform (host side; the result is a pytree to pass to compiled functions).

    Args:
        angles: view angles [views], radians, in any order.
        shape: (H, W) of the image.
        detectors: number of detector bins of width 1; 0 takes the smallest number that sees the whole image.
        steps: conjugate-gradient steps of the pseudo-inverse.

    Returns:
        The transform.

    Raises:
        ValueError: no view, or a non-positive size.
    """
    angles = np.asarray(angles, np.float64)
    detectors = detectors or int(np.ceil(np.hypot(*shape)))
    if angles.ndim != 1 or not angles.size or min(*shape, detectors, steps) < 1:
        raise ValueError(
            f"angles of shape {angles.shape}, image {shape}, {detectors} detectors, {steps} steps; "
            "give one axis of at least one angle, and positive sizes"
        )
    frequencies, omega, boxes = _slices(angles, _slice_length(shape, detectors))
    # From the corner-based indices of FFT to the centres: half a pixel for even sizes, half the detector array.
    offset = np.array([n // 2 - (n - 1) / 2 for n in shape]).reshape(2, 1, 1)
    phase = np.exp(-1j * ((frequencies * offset).sum(0) + omega * (detectors - 1) / 2))
    return RadonTransform(
        angles=jnp.asarray(angles, jnp.float32),
        plan=gridding(frequencies, shape),
        response=jnp.asarray(boxes * phase, jnp.complex64),
        equalizer=jnp.asarray(_slices(angles, _padded_length(detectors))[2] ** -2, jnp.float32),
        shape=(shape[0], shape[1]),
        detectors=detectors,
        steps=steps,
    )


def _slices(angles: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # Frequencies (row, column) of the slices of n samples, their radii, and the response of square pixel and bin.
    omega = 2 * np.pi * np.arange(n // 2 + 1) / n
    frequencies = np.stack([-np.sin(angles)[:, None] * omega, np.cos(angles)[:, None] * omega])
    return frequencies, omega, np.sinc(frequencies / (2 * np.pi)).prod(0) * np.sinc(omega / (2 * np.pi))


def _padded_length(detectors: int) -> int:
    return even_fast_length(2 * detectors)


def _slice_length(shape: tuple[int, int], detectors: int) -> int:
    # Long enough that the periodic copies of a projection stay off the detector.
    return even_fast_length(max(detectors, int(np.ceil((np.hypot(*shape) + detectors) / 2)) + 2))


def uniform_angles(views: int) -> Float[Array, " views"]:
    """`views` equispaced angles in [0, pi), radians."""
    return jnp.pi * jnp.arange(views) / views


def ramp_filter(n: int) -> Float[Array, " K"]:
    """Frequency response |w| / 2 pi of the band-limited ramp (Ramachandran and Lakshminarayanan 1971) on n samples.

    The transform of the sampled kernel rather than |w| itself, which would remove the mean of a projection.
    """
    offsets = np.fft.fftfreq(n, 1 / n)
    odd = offsets % 2 == 1
    kernel = np.where(odd, -1 / (np.pi * np.where(odd, offsets, 1)) ** 2, 0)
    kernel[0] = 0.25
    return jnp.asarray(np.fft.rfft(kernel).real, jnp.float32)


def hann(n: int) -> Float[Array, " K"]:
    """Hann window over the n // 2 + 1 frequencies of a real transform."""
    return 0.5 + 0.5 * jnp.cos(2 * jnp.pi * jnp.arange(n // 2 + 1) / n)


def view_weights(angles: Float[Array, " views"], measured: Bool[Array, " views"]) -> Float[Array, " views"]:
    """The angle that each measured view stands for: half the distance between its measured neighbours, modulo pi.

    Args:
        angles: view angles [views], radians, in any order.
        measured: whether a view is measured [views].

    Returns:
        Weights [views] in radians, 0 for unmeasured views. A distance above twice the upper quartile is the missing
        wedge of a limited range; it counts as the quartile, so that the first and last view do not stand for it.
    """
    index, count = jnp.arange(angles.shape[0]), jnp.sum(measured)
    angle = jnp.where(measured, jnp.mod(angles, jnp.pi), jnp.inf)
    order = jnp.argsort(angle)
    ordered = angle[order]
    after = ordered[(index + 1) % count] + jnp.where(index + 1 == count, jnp.pi, 0)
    gap = jnp.where(index < count, after - ordered, jnp.inf)
    quartile = jnp.sort(gap)[3 * count // 4]
    gap = jnp.where(gap > 2 * quartile, quartile, gap)
    weights = (gap + gap[(index - 1) % count]) / 2
    return jnp.zeros_like(angles).at[order].set(jnp.where(index < count, weights, 0))


def sparse_view_mask(views_total: int, views: int) -> Float[Array, "views 1"]:
    """Every (views_total / views)-th view, rounded.

    Args:
        views_total: number of views of the transform.
        views: number of measured views.

    Returns:
        The mask [views_total, 1], 1 where measured.

    Raises:
        ValueError: views below 1 or above views_total.
    """
    if not 1 <= views <= views_total:
        raise ValueError(f"{views} views of {views_total}; give a number from 1 to {views_total}")
    mask = np.zeros((views_total, 1), np.float32)
    mask[np.round(np.arange(views) * views_total / views).astype(int)] = 1
    return jnp.asarray(mask)


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
    return jnp.asarray(position[:, None] < degrees, jnp.float32)
