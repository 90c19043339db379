"""Fan-beam CT: rays of one source meet all lines of the plane, and so a parallel projection at every angle.

The source of view beta lies at source_to_axis (-sin beta, cos beta) from the axis of rotation, above the image for
beta = 0. Its ray at the fan angle gamma, counted from the ray through the axis towards the right of that view, is the
line theta = beta + gamma, s = source_to_axis sin(gamma) of `ct`. Lengths are in pixels, angles in radians.

Projections at angles dense enough for the image (the Fourier slice theorem, as in `ct`) are evaluated at the s of each
detector column and interpolated over theta at that column alone. The image is interpolated nowhere, and views that were
not measured play no part.
"""

import math

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int
from scipy.interpolate import CubicSpline

from scoreinv.operators.base import LinearOperator, Mask
from scoreinv.operators.ct import (
    SATURATION,
    FinerRays,
    RadonTransform,
    Sinogram,
    corner,
    equalizer,
    pixel_response,
    slices,
)
from scoreinv.operators.filters import padded_length, ramp_filter, view_weights
from scoreinv.operators.gridding import Gridding, even_fast_length, gridding, spectrum, table
from scoreinv.operators.linear_solvers import least_squares
from scoreinv.operators.rebinning import Rebinning, rebinning
from scoreinv.typing import Image

TAPS = 6
# Parallel views per pixel that the image's corner moves between them; with fewer, the taps are too far apart.
VIEW_SAMPLING = 1.0


@flax.struct.dataclass
class RayTable:
    """Where the rays of each detector column lie on the circle of parallel views.

    Attributes:
        first: first of the `TAPS` views beside each ray [columns, views].
        fraction: position of the ray between the two middle ones, 0 to 1.
        angles: number of views on the circle with its halo.
    """

    __no_type_check__ = True  # see LinearOperator

    first: Int[Array, "columns views"]
    fraction: Float[Array, "columns views"]
    angles: int = flax.struct.field(pytree_node=False)


@flax.struct.dataclass
class FanBeamTransform:
    """Fan-beam projections; built by `fan_transform`.

    Attributes:
        angles: source angles beta [views].
        plan: where the parallel slices lie on the image's Fourier grid.
        response: pixel response with the phases that centre the image [parallel views, K].
        cosine: 2 cos(omega s) with the detector's response, for each column [K, columns].
        sine: the same with sin.
        rays: between which parallel views the rays lie.
        rebinning: fan to parallel, for filtered back-projection.
        parallel: the parallel transform of the rebinned rays.
        equalizer: 1 / S^2 at the frequencies of the zero-padded projections.
        fan_angles: gamma of each column [columns].
        source_to_axis: pixels.
        centre: (right, up) of the image's centre from the axis, pixels.
        spacing: mean distance of neighbouring rays at the axis.
        shape: (H, W) of the image.
        steps: conjugate-gradient steps of the pseudo-inverse.
    """

    __no_type_check__ = True  # see LinearOperator

    angles: Float[Array, " views"]
    plan: Gridding
    response: Complex[Array, "parallel K"]
    cosine: Float[Array, "K columns"]
    sine: Float[Array, "K columns"]
    rays: RayTable
    rebinning: Rebinning
    parallel: RadonTransform
    equalizer: Float[Array, "views padded"]
    fan_angles: Float[Array, " columns"]
    source_to_axis: Float[Array, ""]
    centre: Float[Array, " 2"]
    spacing: Float[Array, ""]
    shape: tuple[int, int] = flax.struct.field(pytree_node=False)
    steps: int = flax.struct.field(pytree_node=False, default=3)

    @property
    def detectors(self) -> int:
        """Number of detector columns."""
        return self.fan_angles.shape[-1]

    def forward(self, x: Image) -> Sinogram:
        """T x, the sinogram [views, columns] in intensity times pixel length."""
        parts = [self._project(x[..., c]) for c in range(x.shape[-1])]
        return parts[0] if len(parts) == 1 else jax.lax.complex(*parts)

    def adjoint(self, z: Sinogram) -> Image:
        """T^H z, unfiltered back-projection."""
        transpose = jax.vjp(self._project, jnp.zeros(self.shape, jnp.float32))[1]
        parts = (z.real, z.imag) if jnp.iscomplexobj(z) else (z,)
        return jnp.stack([transpose(part)[0] for part in parts], axis=-1)

    def inverse(self, z: Sinogram, mask: Mask | None = None) -> Image:
        """Filtered back-projection of the measured rays with the ramp filter."""
        return self.fbp(z, mask)

    def fbp(self, z: Sinogram, mask: Mask | None = None, window: str = "ramp") -> Image:
        """Filtered back-projection after rebinning to parallel rays; arguments as of `RadonTransform.fbp`.

        Rays measured twice share their weight smoothly, as Parker (1982) has it for a short scan and Noo et al. (2002)
        for any range of views.
        """
        mask = jnp.broadcast_to(jnp.ones(()) if mask is None else mask, z.shape)
        parts = (z.real, z.imag) if jnp.iscomplexobj(z) else (z,)
        images = []
        for part in parts:
            rebinned, measured = self.rebinning(part, mask)
            images.append(self.parallel.fbp(rebinned, measured, window))
        return jnp.concatenate(images, axis=-1)

    def pseudo_inverse(self, mask: Mask, z: Sinogram) -> Image:
        """A^+ z by `steps` conjugate-gradient steps, weighted with the saturating filter of `RadonTransform`."""
        operator = LinearOperator(mask, self)
        measured = jnp.any(jnp.broadcast_to(mask != 0, z.shape), axis=1)
        n = padded_length(z.shape[1])
        gain = jnp.minimum(
            view_weights(self.angles, measured)[:, None] * ramp_filter(n), SATURATION * self.spacing / max(self.shape)
        )

        def one(r):
            return jnp.fft.irfft(gain * self.equalizer * jnp.fft.rfft(r, n), n)[:, : r.shape[1]]

        def weigh(r):
            filtered = jax.lax.complex(one(mask * r.real), one(mask * r.imag)) if jnp.iscomplexobj(r) else one(mask * r)
            return mask * filtered

        return least_squares(operator, operator.adjoint, z, self.steps, weigh)

    def finer(self, factor: int) -> FinerRays:
        """The forward model of an object of `factor` times smaller pixels, to simulate data with (host side)."""
        columns = np.arange(self.detectors)
        within = np.arange(factor * self.detectors) / factor - (factor - 1) / (2 * factor)
        gamma = CubicSpline(columns, np.asarray(self.fan_angles, np.float64))(within)
        centre = factor * np.asarray(self.centre, np.float64)
        shape = (factor * self.shape[0], factor * self.shape[1])
        distance = factor * float(self.source_to_axis)
        fine = fan_transform(np.asarray(self.angles), shape, gamma, distance, centre=(centre[0], centre[1]))
        return FinerRays(fine, factor)

    def _project(self, x):
        slices_ = self.response * spectrum(self.plan, x)
        even = jnp.einsum("tk,ku->ut", slices_.real, self.cosine)
        odd = jnp.einsum("tk,ku->ut", slices_.imag, self.sine)
        # The line (theta + pi, s) is the line (theta, -s).
        circle = jnp.concatenate([even - odd, even + odd], axis=1)
        halo = jnp.concatenate([circle[:, -TAPS:], circle, circle[:, :TAPS]], axis=1)
        return _interpolate(self.rays, halo).T


def lagrange(fraction: Float[Array, "*s"]) -> Float[Array, "taps *s"]:
    """Weights of the `TAPS` samples at -2, ..., 3 for the value at `fraction` in [0, 1]."""
    nodes = [tap - TAPS // 2 + 1 for tap in range(TAPS)]
    weights = []
    for node in nodes:
        others = [other for other in nodes if other != node]
        scale = 1 / math.prod(node - other for other in others)
        weights.append(scale * math.prod([fraction - other for other in others], start=jnp.ones(())))
    return jnp.stack(weights)


@jax.custom_vjp
def _interpolate(rays: RayTable, circle: Float[Array, "columns angles"]) -> Float[Array, "columns views"]:
    # Weights are computed where they are used: cheaper than reading six tables of them.
    rays, circle = jax.lax.optimization_barrier((rays, circle))
    base = rays.first + rays.angles * jnp.arange(circle.shape[0])[:, None]
    flat = circle.ravel()
    taps = (flat.at[base + t].get(mode="promise_in_bounds") for t in range(TAPS))
    return sum((w * tap for w, tap in zip(lagrange(rays.fraction), taps, strict=True)), jnp.zeros(()))


@jax.custom_vjp
def _spread(rays: RayTable, values: Float[Array, "columns views"]) -> Float[Array, "columns angles"]:
    return _scatter(rays, values)


# A batch goes one by one: XLA's own batching interleaves the circles in memory.
@jax.custom_batching.sequential_vmap
def _scatter(rays, values):
    rays, values = jax.lax.optimization_barrier((rays, values))
    columns = jnp.broadcast_to(jnp.arange(values.shape[0])[:, None], values.shape)
    windows = jnp.stack(lagrange(rays.fraction), axis=-1) * values[..., None]
    return jax.lax.scatter_add(
        jnp.zeros((values.shape[0], rays.angles), values.dtype),
        jnp.stack([columns, rays.first], axis=-1).reshape(-1, 2),
        windows.reshape(-1, 1, TAPS),
        jax.lax.ScatterDimensionNumbers(
            update_window_dims=(1, 2), inserted_window_dims=(), scatter_dims_to_operand_dims=(0, 1)
        ),
        mode=jax.lax.GatherScatterMode.PROMISE_IN_BOUNDS,
    )


_interpolate.defvjp(lambda rays, circle: (_interpolate(rays, circle), rays), lambda rays, ct: (None, _spread(rays, ct)))
_spread.defvjp(lambda rays, values: (_spread(rays, values), rays), lambda rays, ct: (None, _interpolate(rays, ct)))


def fan_transform(
    angles: Float[Array, " views"] | np.ndarray,
    shape: tuple[int, int],
    fan_angles: Float[np.ndarray, " columns"],
    source_to_axis: float,
    steps: int = 3,
    centre: tuple[float, float] = (0.0, 0.0),
    averages: bool = False,
) -> FanBeamTransform:
    """Prepares a fan-beam transform (host side; the result is a pytree to pass to compiled functions).

    Args:
        angles: source angles beta [views], radians, in any order.
        shape: (H, W) of the image.
        fan_angles: gamma of each column's middle [columns], radians, rising or falling: atan(position / distance) on a
            flat detector.
        source_to_axis: distance from the source to the axis of rotation, pixels.
        steps: conjugate-gradient steps of the pseudo-inverse.
        centre: (right, up) of the image's centre from the axis, pixels.
        averages: see `radon_transform`.

    Returns:
        The transform.

    Raises:
        ValueError: no view, fewer than two columns, or a source inside of the image.
    """
    angles, gamma = np.asarray(angles, np.float64), np.asarray(fan_angles, np.float64)
    _check(angles, gamma, shape, source_to_axis, steps, centre)
    s = source_to_axis * np.sin(gamma)
    width = np.abs(np.gradient(s))
    spacing = float(np.median(width))
    reach = np.hypot(*shape) / 2 + np.hypot(*centre)
    count = int(np.ceil(np.pi * reach * VIEW_SAMPLING))
    samples = even_fast_length(int(np.ceil(reach + np.abs(s).max())) + 2)
    frequencies, omega, _ = slices(np.pi * np.arange(count) / count, samples)
    weight = _column_weight(omega, width, samples)
    rebinned, parallel = rebinning(angles, gamma, source_to_axis, shape, spacing, centre, averages)
    return FanBeamTransform(
        angles=table(angles),
        plan=gridding(frequencies, shape),
        response=table(_response(frequencies, shape, centre, averages), np.complex64),
        cosine=table(weight * np.cos(np.outer(omega, s))),
        sine=table(weight * np.sin(np.outer(omega, s))),
        rays=_ray_table(angles + gamma[:, None], count),
        rebinning=rebinned,
        parallel=parallel,
        equalizer=table(equalizer(angles, padded_length(gamma.size), spacing, averages)),
        fan_angles=table(gamma),
        source_to_axis=jnp.float32(source_to_axis),
        centre=table(np.asarray(centre)),
        spacing=jnp.float32(spacing),
        shape=(shape[0], shape[1]),
        steps=steps,
    )


def _check(angles, gamma, shape, source_to_axis, steps, centre) -> None:
    if angles.ndim != 1 or not angles.size or gamma.ndim != 1 or gamma.size < 2 or min(*shape, steps) < 1:
        raise ValueError(
            f"angles of shape {angles.shape}, {gamma.size} detector columns, image {shape}, {steps} steps; give at "
            "least one angle, two columns and positive sizes"
        )
    if source_to_axis <= max(shape) / 2 + np.hypot(*centre) or np.abs(gamma).max() >= np.pi / 2:
        raise ValueError(
            f"the source, {source_to_axis:g} pixels from the axis, lies inside of the image of {shape[0]} x {shape[1]} "
            "pixels, or the fan opens 180 degrees; check distances, pixel size and their unit"
        )


def _response(frequencies, shape, centre, averages):
    """Response of a pixel at the frequencies of the parallel views, with the phases that centre the image."""
    shift = corner(shape) + np.reshape([-centre[1], centre[0]], (2, 1, 1))
    return pixel_response(frequencies, averages) * np.exp(-1j * (frequencies * shift).sum(0))


def _column_weight(omega, width, samples):
    """Weights of the real parts of a half spectrum, whose ends occur once; each column averages over its own width."""
    ends = (omega == 0) | np.isclose(omega, np.pi)
    return np.where(ends, 1.0, 2.0)[:, None] / samples * np.sinc(omega[:, None] * width / (2 * np.pi))


def _ray_table(theta, count: int) -> RayTable:
    """Where rays of the angles theta [columns, views] lie between `count` parallel views over half a turn."""
    position = np.mod(theta, 2 * np.pi) * count / np.pi
    return RayTable(
        first=table(np.floor(position) + TAPS // 2 + 1, np.int32),
        fraction=table(position - np.floor(position)),
        angles=2 * count + 2 * TAPS,
    )
