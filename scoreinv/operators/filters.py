"""What filtered back-projection is made of: the ramp filter, its window, and how much each view weighs."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from scoreinv.operators.gridding import even_fast_length


def padded_length(detectors: int) -> int:
    """Length of a projection zero-padded for its filters."""
    return even_fast_length(2 * detectors)


def ramp_filter(n: int) -> Float[Array, " K"]:
    """Frequency response |w| / 2 pi of the band-limited ramp (Ramachandran and Lakshminarayanan 1971) on n samples.

    The transform of the sampled kernel rather than |w| itself, which would remove the mean of a projection.
    """
    offsets = np.rint(np.fft.fftfreq(n, 1 / n))  # whole numbers, which 1 / n misses at some n
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
