"""Fan-beam rays as parallel projections, for filtered back-projection.

The parallel ray (theta, s) is the fan ray of the source angle beta = theta - gamma with s = source_to_axis sin(gamma),
and, seen from its other end, that of theta + pi and -s. What both ends measured is averaged with weights that fall
smoothly to the ends of every range of views: for a short scan these are weights like those of Parker (1982), for other
ranges those of Noo, Defrise, Clackdoyle and Kudo (2002, equation 31).
"""

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from scoreinv.operators.ct import RadonTransform, radon_transform
from scoreinv.operators.gridding import table

# Neighbouring views further apart than this times the usual distance leave a gap that is not interpolated.
GAP = 1.9
# Length of the smooth end of a range of views, radians, and the least weight of a view in one.
FEATHER, LEAST = np.deg2rad(10), 1e-3


@flax.struct.dataclass
class Rebinning:
    """Where parallel rays lie between fan rays; built by `rebinning`.

    Attributes:
        column: first of the two columns beside each s [bins].
        column_fraction: position between them.
        view: the two views beside each parallel ray [2, circle, bins].
        view_fraction: position between them [circle, bins].
        weight: what a parallel ray counts [circle, bins]; 0 where its source position is not measured.
    """

    __no_type_check__ = True  # see LinearOperator

    column: Int[Array, " bins"]
    column_fraction: Float[Array, " bins"]
    view: Int[Array, "2 circle bins"]
    view_fraction: Float[Array, "circle bins"]
    weight: Float[Array, "circle bins"]

    def __call__(
        self, z: Float[Array, "views columns"], mask: Float[Array, "views columns"]
    ) -> tuple[Float[Array, "parallel bins"], Float[Array, "parallel bins"]]:
        """(parallel projections over half a turn, 1 where any measured ray contributes)."""
        values, seen = self._interpolate(mask * z), self._interpolate(mask)
        values, seen = (self._both_ends(self.weight * part) for part in (values, seen))
        measured = seen > LEAST / 2
        return jnp.where(measured, values / jnp.where(measured, seen, 1.0), 0.0), measured.astype(z.dtype)

    def _interpolate(self, z):
        columns = (1 - self.column_fraction) * z[:, self.column] + self.column_fraction * z[:, self.column + 1]
        bins = jnp.arange(columns.shape[1])
        before, after = (columns[view, bins] for view in self.view)
        return (1 - self.view_fraction) * before + self.view_fraction * after

    def _both_ends(self, circle):
        half = circle.shape[0] // 2
        return circle[:half] + circle[half:, ::-1]


def rebinning(
    angles: Float[np.ndarray, " views"],
    gamma: Float[np.ndarray, " columns"],
    source_to_axis: float,
    shape: tuple[int, int],
    spacing: float,
    centre: tuple[float, float] = (0.0, 0.0),
    averages: bool = False,
) -> tuple[Rebinning, RadonTransform]:
    """Prepares the rebinning of a fan-beam scan and the parallel transform of its result (host side).

    Args:
        angles: source angles [views], radians.
        gamma: fan angle of each column [columns], radians, rising or falling.
        source_to_axis: pixels.
        shape: (H, W) of the image.
        spacing: distance of the parallel rays, pixels.
        centre: (right, up) of the image's centre from the axis, pixels.
        averages: see `radon_transform`.
    """
    order = np.argsort(np.mod(angles, 2 * np.pi), kind="stable")
    beta = np.mod(angles, 2 * np.pi)[order]
    gaps = np.diff(beta, append=beta[0] + 2 * np.pi)
    usual = float(np.quantile(gaps, 0.75))
    reach = float(np.abs(source_to_axis * np.sin(gamma)).max())
    bins = 2 * int(reach / spacing) + 1
    s = spacing * (np.arange(bins) - (bins - 1) / 2)
    bin_gamma = np.arcsin(s / source_to_axis)
    column, column_fraction, seen = _between(bin_gamma, gamma)
    count = int(np.clip(np.ceil(np.pi / usual), max(shape), 2 * max(shape)))
    theta = np.pi * np.arange(2 * count)[:, None] / count
    source = np.mod(theta - bin_gamma, 2 * np.pi)
    before = np.searchsorted(beta, source, side="right") - 1  # -1: the last view, a turn earlier
    fraction = np.mod(source - beta[before], 2 * np.pi) / np.maximum(gaps[before], 1e-9)
    weight = np.where(gaps[before] <= GAP * usual, _feathered(source, beta, gaps, usual), 0.0) * seen
    rebinned = Rebinning(
        column=table(column, np.int32),
        column_fraction=table(column_fraction),
        view=table(np.stack([order[before], order[(before + 1) % beta.size]]), np.int32),
        view_fraction=table(np.clip(fraction, 0, 1)),
        weight=table(weight),
    )
    parallel_angles = np.pi * np.arange(count) / count
    offset = -(centre[0] * np.cos(parallel_angles) + centre[1] * np.sin(parallel_angles))
    return rebinned, radon_transform(parallel_angles, shape, bins, pitch=spacing, offset=offset, averages=averages)


def _between(at, nodes):
    """(index of the lower of two neighbouring nodes, position between them, whether inside) of points."""
    step = 1 if nodes[-1] > nodes[0] else -1
    position = np.interp(at, nodes[::step], np.arange(nodes.size)[::step])
    seen = (at >= nodes.min() - 1e-9) & (at <= nodes.max() + 1e-9)
    lower = np.clip(np.floor(position).astype(int), 0, nodes.size - 2)
    return lower, position - lower, seen


def _feathered(source, beta, gaps, usual):
    """A weight of source angles that falls to the ends of each range of views, 1 within a full turn."""
    ends = np.flatnonzero(gaps > GAP * usual)
    if not ends.size:
        return np.ones_like(source)
    stops, starts = beta[ends], beta[(ends + 1) % beta.size]
    to_stop = np.mod(stops - source[..., None], 2 * np.pi).min(-1)
    from_start = np.mod(source[..., None] - starts, 2 * np.pi).min(-1)
    within = np.minimum(to_stop, from_start) / FEATHER
    return np.maximum(np.sin(np.pi / 2 * np.clip(within, 0, 1)) ** 2, LEAST)
