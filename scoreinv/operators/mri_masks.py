"""Which samples of Cartesian k-space are measured: lines, random points, diameters.

Masks are float32 0/1 arrays that broadcast to k-space with its zero frequency at [H // 2, W // 2]; lines are measured
along the readout axis and skipped along the phase-encoding axis.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray


def equispaced_mask(
    shape: tuple[int, int],
    acceleration: float | int,
    center_fraction: float = 0.08,
    axis: int = 1,
    offset: float | int | None = None,
) -> Float[Array, "H W"]:
    """Equispaced Cartesian sampling with a fully measured centre, as in fastMRI (Zbontar et al. 2018).

    round(N center_fraction) centre lines, plus lines at a spacing R (n_c - N) / (n_c R - N) that brings the total close
    to N / R.

    Args:
        shape: (H, W) of k-space.
        acceleration: R, lines of the matrix per measured line.
        center_fraction: fraction of the lines measured around the centre.
        axis: phase-encoding axis; 1 measures columns and returns [1, W], 0 measures rows and returns [H, 1].
        offset: index of the first line, in [0, spacing); half a spacing if None, as Song et al. 2022.

    Returns:
        The mask, 1 where measured.

    Raises:
        ValueError: acceleration below 1 or above the number of lines, or a centre larger than the lines allowed.

    >>> scoreinv.equispaced_mask((8, 8), 2, 0.25)[0].tolist()
    [0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    """
    lines = shape[axis]
    center = _center_lines(lines, acceleration, center_fraction)
    measured = np.zeros(lines, np.float32)
    if acceleration == 1:
        measured[:] = 1
    elif center * acceleration < lines:
        spacing = acceleration * (lines - center) / (lines - center * acceleration)
        first = round(spacing) // 2 if offset is None else offset
        measured[np.round(np.arange(first, lines - 1, spacing)).astype(int)] = 1
    measured[_center_slice(lines, center)] = 1
    return _along(measured, axis)


def random_mask(
    key: PRNGKeyArray, shape: tuple[int, int], acceleration: float | int, center_fraction: float = 0.08, axis: int = 1
) -> Float[Array, "H W"]:
    """Random Cartesian sampling: a measured centre and uniformly drawn lines, exactly round(N / R) in total.

    Args:
        key: PRNG key.
        shape: (H, W) of k-space.
        acceleration: R, lines of the matrix per measured line.
        center_fraction: fraction of the lines measured around the centre.
        axis: phase-encoding axis; 1 measures columns and returns [1, W], 0 measures rows and returns [H, 1].

    Returns:
        The mask, 1 where measured.

    Raises:
        ValueError: as `equispaced_mask`.

    >>> int(scoreinv.random_mask(key, (8, 8), 2, 0.25)[0].sum())
    4
    """
    lines = shape[axis]
    center = _center_lines(lines, acceleration, center_fraction)
    order = jax.random.uniform(key, (lines,)).at[_center_slice(lines, center)].set(-1.0)
    measured = jnp.argsort(jnp.argsort(order)) < round(lines / acceleration)
    return _along(measured.astype(jnp.float32), axis)


def variable_density_mask(
    key: PRNGKeyArray,
    shape: tuple[int, int],
    acceleration: float | int,
    center_fraction: float = 0.08,
    power: float | int = 3.0,
) -> Float[Array, "H W"]:
    """Random points of a 2-D phase-encoding plane with density (1 - r)^power, and a measured disc in the centre.

    Lustig, Donoho and Pauly 2007, section "Incoherent sampling". Exactly round(H W / R) points.

    Args:
        key: PRNG key.
        shape: (H, W) of k-space.
        acceleration: R, points of the matrix per measured point.
        center_fraction: area of the fully measured disc as a fraction of the matrix.
        power: decay of the density with the distance r from the centre (1 in the corners).

    Returns:
        The mask [H, W], 1 where measured.

    Raises:
        ValueError: as `equispaced_mask`.

    >>> scoreinv.variable_density_mask(key, (8, 8), 2, 0.25).shape
    (8, 8)
    """
    size = shape[0] * shape[1]
    center = _center_lines(size, acceleration, center_fraction)
    ky, kx = _centered_grid(shape)
    radius = np.hypot(ky, kx)
    log_density = power * np.log(np.maximum(1 - radius / np.sqrt(2), 1e-6))
    log_density.flat[np.argsort(radius, axis=None, kind="stable")[:center]] = np.inf
    # Gumbel top-k draws without replacement with probabilities proportional to the density (Yellott 1977).
    order = jnp.argsort(-(jnp.asarray(log_density, jnp.float32) + jax.random.gumbel(key, shape)), axis=None)
    return jnp.zeros(size).at[order[: round(size / acceleration)]].set(1.0).reshape(shape)


def radial_mask(shape: tuple[int, int], spokes: int) -> Float[Array, "H W"]:
    """Cartesian approximation of `spokes` equiangular lines through the centre of k-space.

    Args:
        shape: (H, W) of k-space.
        spokes: number of diameters.

    Returns:
        The mask [H, W], 1 where measured.

    Raises:
        ValueError: fewer than one spoke.
    """
    if spokes < 1:
        raise ValueError(f"{spokes} spokes; give at least 1")
    steps = np.linspace(-1, 1, 4 * max(shape))
    angles = np.pi * np.arange(spokes)[:, None] / spokes
    mask = np.zeros(shape, np.float32)
    rows, columns = (
        np.clip(np.round(n // 2 + steps * f(angles) * (n / 2)).astype(int), 0, n - 1)
        for n, f in zip(shape, (np.sin, np.cos), strict=True)
    )
    mask[rows, columns] = 1
    return jax.device_put(mask)


def _center_lines(lines: int, acceleration: float | int, center_fraction: float) -> int:
    if not 1 <= acceleration <= lines:
        raise ValueError(f"acceleration {acceleration} for {lines} lines; give a value from 1 to {lines}")
    if not 0 <= center_fraction <= 1:
        raise ValueError(f"center_fraction {center_fraction}; give a fraction from 0 to 1")
    center = round(lines * center_fraction)
    if center > round(lines / acceleration):
        raise ValueError(
            f"center_fraction {center_fraction} measures {center} of {lines} lines, more than acceleration "
            f"{acceleration} allows ({round(lines / acceleration)}); lower one of the two"
        )
    return center


def _center_slice(lines: int, center: int) -> slice:
    first = (lines - center + 1) // 2
    return slice(first, first + center)


def _along(measured, axis: int) -> Float[Array, "H W"]:
    return jnp.asarray(measured)[None, :] if axis == 1 else jnp.asarray(measured)[:, None]


def _centered_grid(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    # Frequencies in [-1, 1), zero at n // 2.
    ky, kx = ((np.arange(n) - n // 2) / (n / 2) for n in shape)
    return ky[:, None], kx[None, :]
