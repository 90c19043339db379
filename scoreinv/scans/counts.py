"""Detector readings to line integrals: flat and dark fields, logarithm, unequal noise, dead columns, rings."""

import numpy as np
from jaxtyping import Bool, Float, Real
from scipy.ndimage import median_filter

Sinogram = Float[np.ndarray, "views detectors"]

# A column whose open beam is this share of the usual one is dead.
DEAD = 0.1
# A column of which more readings than this share are lost is not used at all.
LOST = 0.2
# Stuck columns lie between jumps of so many times the usual one and the next one (2.3 at a disc's edge), are no more
# than one in so many side by side, and at an end of the detector behind a jump of so many times what follows (3.75 at a
# disc's edge).
JUMP, STEEP, WIDEST, END = 6.0, 3.0, 20, 5.0
# Share of the columns that may be stuck: what is so in more of them is the object.
MOST = 0.1
# Root weight of a ray that was not measured but filled in, relative to an ordinary one.
FILLED = 0.05
# Root weights span no more than this to both sides of the middle one, so that a fixed number of steps still converges.
SPAN = 5.0


def transmission(
    readings: Sinogram, flats: Real[np.ndarray, "..."] | None = None, darks: Real[np.ndarray, "..."] | None = None
) -> tuple[Sinogram, Float[np.ndarray, " detectors"]]:
    """The share of the open beam that passed, and the open beam of each column in readings above dark.

    Args:
        readings: of the detector [views, detectors].
        flats: readings without an object, one number or [..., detectors]; None: the readings are shares already.
        darks: readings without a beam, one number or [..., detectors]; None: zero.

    Raises:
        ValueError: fields of another width than the readings.
    """
    columns = readings.shape[1]
    dark = _mean_field("darks", np.zeros(1) if darks is None else darks, columns)
    beam = _mean_field("flats", np.ones(1) if flats is None else flats, columns) - dark
    with np.errstate(divide="ignore", invalid="ignore"):
        return (readings - dark) / beam, beam


def _mean_field(name: str, field: Real[np.ndarray, "..."], columns: int) -> Float[np.ndarray, " detectors"]:
    if field.size > 1 and field.shape[-1] != columns:
        raise ValueError(
            f"{name} of shape {field.shape} for {columns} detector columns; give one number, or [fields, columns]"
        )
    return np.broadcast_to(field.reshape(-1, field.shape[-1] if field.size > 1 else 1).mean(0), columns)


def open_beam(readings: Sinogram) -> float:
    """The reading without an object, from the outermost columns of all views, which look past it."""
    width = max(1, readings.shape[1] // 50)
    return float(np.nanmedian(np.concatenate([readings[:, :width], readings[:, -width:]], 1)))


def line_integrals(share: Sinogram, photons: float | Float[np.ndarray, " detectors"] = np.inf) -> Sinogram:
    """-log of the share that passed, finite for rays that no photon passed.

    Args:
        share: readings over open beam.
        photons: of the open beam; half a photon is added to every reading, which takes the bias of the logarithm of a
            Poisson variable away to first order and keeps starved rays finite. Infinite: a thousandth of the smallest
            positive share is the floor.
    """
    if np.all(np.isinf(photons)):
        positive = share[share > 0]
        return -np.log(np.maximum(share, 1e-3 * positive.min() if positive.size else 1e-12))
    return -np.log((np.maximum(share * photons, 0) + 0.5) / photons)


def root_weights(passed: Sinogram, filled: Bool[np.ndarray, "..."] | None = None) -> Sinogram:
    """sqrt of the readings, 1 in the middle: 1 / standard deviation of their logarithm, up to a factor.

    Args:
        passed: what reached the detector, in any unit.
        filled: rays that were not measured but filled in.
    """
    root = np.sqrt(np.maximum(passed, 0))
    root = np.clip(root / max(float(np.median(root)), 1e-30), 1 / SPAN, SPAN)
    return root if filled is None else np.where(filled, FILLED, root)


def bad_columns(p: Sinogram, beam: Float[np.ndarray, " detectors"]) -> Bool[np.ndarray, " detectors"]:
    """Columns that are dead (no beam, not finite, the same in every view) or stuck, single or side by side."""
    usual = np.median(beam)
    lost = ~np.isfinite(p)
    bad = (lost.mean(0) > LOST) | (beam < DEAD * usual) | ~np.isfinite(beam)
    safe = filled(p, lost | bad)
    if np.all(safe.std(0) < 1e-6 * np.abs(safe).max()):
        return bad  # an object turned about its own middle, without noise
    # The same value in every view: something hangs, unless it is so in many columns, as of a centred disc.
    same = (safe.std(0) < 1e-6 * max(safe.std(), 1e-30)) & (np.abs(safe.mean(0)) > 0.05 * np.abs(safe).max())
    bad |= same & (same.mean() <= MOST)
    return bad | _stuck(filled(safe, np.broadcast_to(bad, p.shape)))


def _stuck(p: Sinogram) -> Bool[np.ndarray, " detectors"]:
    """Columns, single or several side by side, between a jump and another one back, in most views.

    An object jumps too, at an edge that turns about its own middle, but gradually, and not back within a few columns.
    At an end of the detector there is no way back: there columns count that jump and do not follow their neighbour.
    """
    columns = p.shape[1]
    widest = max(2, columns // WIDEST)
    steps = np.diff(p, axis=1)
    jumps = np.quantile(np.abs(steps), 0.75, axis=0)
    usual = JUMP * np.maximum(median_filter(jumps, 31, mode="nearest"), 1e-3 * np.abs(p).max())
    into = np.flatnonzero((jumps > usual) & (jumps > STEEP * np.pad(jumps, (1, 0))[:-1]))
    out = np.flatnonzero((jumps > usual) & (jumps > STEEP * np.pad(jumps, (0, 1))[1:]))
    bad, end = np.zeros(columns, bool), 0
    for first in into:
        for last in out[(out > first) & (out <= first + widest)] if first >= end else ():
            there, back = steps[:, first], steps[:, last]
            if np.quantile(np.where(there * back < 0, np.minimum(abs(there), abs(back)), 0), 0.75) > usual[first]:
                bad[first + 1 : last + 1], end = True, last
                break
    return bad | _dead_end(p, jumps, widest) | _dead_end(p[:, ::-1], jumps[::-1], widest)[::-1]


def _dead_end(p: Sinogram, jumps: Float[np.ndarray, " gaps"], widest: int) -> Bool[np.ndarray, " detectors"]:
    """The first columns, where the jump behind them is far above the next ones and they do not follow the object."""
    bad = np.zeros(p.shape[1], bool)
    for last in range(min(widest, len(jumps) - 5)):
        following = max(float(np.median(jumps[last + 1 : last + 6])), 1e-3 * float(np.abs(p).max()))
        if jumps[last] > END * following and not np.any(_follows(p[:, : last + 1], p[:, last + 1])):
            bad[: last + 1] = True
    return bad


def _follows(columns: Sinogram, beside: Float[np.ndarray, " views"]) -> Bool[np.ndarray, " detectors"]:
    """Whether columns rise and fall with another one over the views."""
    one, other = columns - columns.mean(0), (beside - beside.mean())[:, None]
    return (one * other).sum(0) > 0.5 * np.sqrt((one**2).sum(0) * (other**2).sum(0))


def filled(p: Sinogram, bad: Bool[np.ndarray, "views detectors"]) -> Sinogram:
    """The sinogram with bad readings interpolated between good ones of the same view.

    Raises:
        ValueError: a view without any.
    """
    if not bad.any():
        return p
    if bad.all(1).any():
        raise ValueError(
            f"{int(bad.all(1).sum())} of {len(p)} views hold no usable reading; check flat and dark fields"
        )
    every = np.arange(p.shape[1])
    return np.stack([np.interp(every, every[~wrong], row[~wrong]) for row, wrong in zip(p, bad, strict=True)])


def without_rings(p: Sinogram) -> Sinogram:
    """The sinogram without stripes along the views, by algotom: sorted columns, a median (Vo et al. 2018).

    Raises:
        ValueError: algotom is not installed.
    """
    try:
        from algotom.prep.removal import remove_stripe_based_sorting
    except ImportError as error:
        raise ValueError("scan.rings=True needs algotom; pip install 'scoreinv[rings]', or leave it out") from error
    # A wide median takes detail along with the stripes: 5 columns of 182, 21 of 1260.
    return remove_stripe_based_sorting(np.asarray(p, np.float32), max(5, p.shape[1] // 60 | 1))


def padded(p: Sinogram, columns: int) -> Float[np.ndarray, "views wider"]:
    """Truncated projections continued by `columns` to each side, falling smoothly from the outermost value to zero."""
    taper = np.cos(np.pi / 2 * (np.arange(columns) + 1) / columns) ** 2
    left, right = (p[:, edge].mean(1, keepdims=True) for edge in (slice(0, 2), slice(-2, None)))
    return np.concatenate([left * taper[::-1], p, right * taper], 1)
