"""Uncertainty from posterior samples: maps, their calibration against the truth, and its correction.

The maps are pure functions of samples [K, H, W, C]. Calibration compares with a known image on the host, inside a
region of interest: the background, where nothing is uncertain, would flatter every number.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from scipy import ndimage, stats

from scoreinv.operators.base import Measurement
from scoreinv.samplers.base import Reconstruct

Samples = Float[Array, "K H W C"]
Image = Float[Array, "H W C"] | Float[np.ndarray, "H W C"]
Region = Bool[np.ndarray, "H W"]
Pixels = Float[np.ndarray, " pixels"]


class Maps(NamedTuple):
    """What K samples say of each pixel."""

    mean: Float[Array, "H W C"]
    std: Float[Array, "H W C"]
    quantiles: Float[Array, "Q H W C"]


def draw(reconstruct: Reconstruct, key: PRNGKeyArray, measurement: Measurement, samples: int, batch: int) -> Samples:
    """`samples` images of one measurement, `batch` at a time, as one program whose memory is that of a batch.

    Args:
        reconstruct: the sampler.
        key: PRNG key; sample i uses `fold_in(key, i)`, whatever the batch.
        measurement: what was measured.
        samples: number of images K.
        batch: images drawn together.

    Returns:
        The images [K, H, W, C].
    """
    return jax.lax.map(
        lambda i: reconstruct(jax.random.fold_in(key, i), measurement), jnp.arange(samples), batch_size=batch
    )


def maps(samples: Samples, levels: Sequence[float] = (0.05, 0.95)) -> Maps:
    """Mean, standard deviation (K - 1 in the denominator) and quantiles of each pixel over the samples.

    Args:
        samples: posterior samples, at least 2.
        levels: probabilities of the quantiles.

    Returns:
        The maps.

    Raises:
        ValueError: fewer than 2 samples.
    """
    if samples.shape[0] < 2:
        raise ValueError(f"{samples.shape[0]} sample has no spread; draw at least 2")
    return Maps(
        samples.mean(0), samples.std(0, ddof=1), jnp.quantile(samples, jnp.asarray(levels, jnp.float32), axis=0)
    )


def object_region(image: Image, threshold: float = 0.1) -> Region:
    """The object in an image: magnitude above a threshold, with holes filled."""
    return ndimage.binary_fill_holes(np.linalg.norm(np.asarray(image), axis=-1) > threshold)


def z_scores(truth: Image, mean: Image, std: Image, region: Region, samples: int) -> Pixels:
    """(truth - mean) / (std sqrt(1 + 1/K)) of the pixels of a region.

    The mean of K samples errs itself by std / sqrt(K). For a Gaussian posterior and exact samples, z follows Student's
    t with K - 1 degrees of freedom.

    Args:
        truth: true image.
        mean: mean of the samples.
        std: their standard deviation.
        region: pixels that count.
        samples: number of samples K.

    Returns:
        One number for each pixel and channel of the region.
    """
    width = np.maximum(np.asarray(std), 1e-6) * np.sqrt(1 + 1 / samples)
    return ((np.asarray(truth) - np.asarray(mean)) / width)[region].ravel()


def coverage(z: Pixels, half_width: float | int) -> float:
    """Fraction of pixels whose truth lies within half_width standard deviations of the mean."""
    return float(np.mean(np.abs(z) <= half_width))


def reliability(truth: Image, samples: Samples, region: Region, levels: Sequence[float]) -> list[float]:
    """Observed coverage of the central intervals between sample quantiles, for each nominal level.

    A truth that is exchangeable with the samples has a uniform rank on 0..K among them, and lies between two of their
    order statistics with probability (ranks inside) / (K + 1): a level is reached at these multiples only, and is
    interpolated between them.

    Args:
        truth: true image.
        samples: posterior samples.
        region: pixels that count.
        levels: nominal probabilities.

    Returns:
        The observed fractions.
    """
    draws = np.asarray(samples)
    count = len(draws)
    # The depth of the truth: how many samples lie beyond it on its nearer side; ties count half on each side.
    below = np.sum(draws < truth, 0) + np.sum(draws == truth, 0) / 2
    depth = np.minimum(below, count - below)[region].ravel()
    depths = np.arange(count // 2, -1, -1)
    nominal = np.clip((count + 1 - 2 * depths) / (count + 1), 0, 1)
    observed = [np.mean(depth >= d) for d in depths]
    return [float(np.interp(level, nominal, observed)) for level in levels]


def rank_correlation(error: Image, spread: Image, region: Region) -> float:
    """Spearman's rank correlation of |error| and spread over the pixels of a region; complex channels by magnitude."""
    a, b = (np.linalg.norm(np.asarray(v), axis=-1)[region] for v in (error, spread))
    return float(stats.spearmanr(a, b).statistic)


def calibration(truth: Image, samples: Samples, region: Region, levels: Sequence[float] = (0.5, 0.8, 0.9)) -> dict:
    """Every number of a calibration report for one image.

    Args:
        truth: true image.
        samples: posterior samples.
        region: pixels that count.
        levels: nominal levels of the reliability curve.

    Returns:
        {"coverage_1", "coverage_2", "coverage_3", "z_std", "rank_correlation", "reliability": {level: observed}}.
    """
    found = maps(samples)
    z = z_scores(truth, found.mean, found.std, region, len(samples))
    report: dict[str, Any] = {f"coverage_{k}": coverage(z, k) for k in (1, 2, 3)}
    report["z_std"] = float(np.std(z))
    report["rank_correlation"] = rank_correlation(truth - found.mean, found.std, region)
    report["reliability"] = dict(zip(map(str, levels), reliability(truth, samples, region, levels), strict=True))
    return report


def conformal_half_width(scores: Sequence[np.ndarray], level: float = 0.9) -> float:
    """The half width, in standard deviations, of intervals that hold the truth with probability `level`.

    Split-conformal prediction (Papadopoulos et al. 2002) with the score |z|: the ceil((n + 1) level)-th smallest score
    of the held-out subjects, each subject weighing the same. A new subject's pixel is covered with this probability as
    far as it is exchangeable with theirs.

    Args:
        scores: |z| of the pixels of each validation subject.
        level: wanted coverage, in (0, 1).

    Returns:
        q of the intervals mean +- q std sqrt(1 + 1/K).

    Raises:
        ValueError: no subject, an empty one, or a level outside (0, 1).
    """
    if not scores or min(map(len, scores)) < 1 or not 0 < level < 1:
        raise ValueError(
            f"{len(scores)} subjects of {[len(s) for s in scores]} pixels, level={level}; give at least one pixel for "
            "each subject, and 0 < level < 1"
        )
    pooled = np.concatenate(scores)
    weight = np.concatenate([np.full(len(s), 1 / (len(s) * len(scores))) for s in scores])
    order = np.argsort(pooled)
    wanted = min(level * (1 + 1 / len(pooled)), 1.0)
    index = int(np.searchsorted(np.cumsum(weight[order]), wanted * (1 - 1e-12)))
    return float(pooled[order][min(index, len(order) - 1)])
