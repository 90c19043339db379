"""Uncertainty from posterior samples: maps, and how they compare with the truth.

The maps are pure functions of samples [K, H, W, C]. The comparison with a known image is on the host, inside a region
of interest: the background, where nothing is uncertain, would flatter every number.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from scipy import ndimage

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
