"""The interval about a reconstruction: as wide as draws of the posterior and a correction for it say."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Array, Float
from scipy import stats

from scoreinv.evaluation.conformal import Correction, local_spread

Images = Float[Array, "..."] | Float[np.ndarray, "..."]


@dataclass(frozen=True)
class Interval:
    """Where the truth lies, pixel by pixel, with a probability.

    Attributes:
        level: the probability.
        half_width: the interval is the image plus or minus this [H, W, C].
        about: what makes it wide enough, in words.
    """

    level: float
    half_width: np.ndarray
    about: str


def interval(draws: Images, level: float, correction: Correction | None = None) -> Interval:
    """The interval of some draws.

    Args:
        draws: draws of the posterior [K, H, W, C], at least 2.
        level: probability that it holds the truth.
        correction: how wide it must be for that; None: Student's interval for Gaussian draws that are right.

    Returns:
        The interval.

    Raises:
        ValueError: fewer than 2 draws, or a level that the correction was not fitted for.
    """
    count = len(draws)
    if count < 2:
        raise ValueError(f"{count} draw has no spread; draw at least 2 (interval.draws)")
    spread = local_spread(np.asarray(draws).std(0, ddof=1))
    if correction is None:
        factor = stats.t.ppf((1 + level) / 2, count - 1) * np.sqrt(1 + 1 / count)
        return Interval(level, factor * spread, f"{100 * level:g} % interval as drawn, checked on no subject")
    about = f"{100 * level:g} % interval, corrected on {correction.subjects} subjects: {correction.fitted_on}"
    return Interval(level, correction.half_width(spread, level), about)
