"""The frame of every method: a first image, one loop along the noise levels, a last image."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from scoreinv.operators.base import Measurement
from scoreinv.samplers.base import Reconstruct, integrate
from scoreinv.samplers.conditioning import Start, diffuse
from scoreinv.sde import SDE
from scoreinv.typing import Image, Times


class Iteration(NamedTuple):
    """What a method does about one measurement.

    Attributes:
        kernel: the move of the state from each level to the next.
        finish: state at the last level -> image [H, W, C].
        begin: image at the first level -> state, where that is more than an image.
    """

    kernel: Callable[..., Any]
    finish: Callable[[Any], Image]
    begin: Callable[[Image], Any] = lambda x: x


Method = Callable[[Measurement], Iteration]


def from_noise(sde: SDE, times: Times, start: Start, method: Method) -> Reconstruct:
    """A method whose first image is noised to the first level, x ~ N(alpha start, sigma^2 I).

    Args:
        sde: the diffusion of the state.
        times: N + 1 descending times; N steps.
        start: measurement -> image that is noised.
        method: measurement -> what to do about it.

    Returns:
        (key, measurement) -> image [H, W, C].
    """

    def reconstruct(key, measurement):
        start_key, key = jax.random.split(key)
        iteration = method(measurement)
        x = diffuse(start_key, sde, start(measurement), times[0])
        return iteration.finish(integrate(iteration.kernel, key, iteration.begin(x), times))

    return reconstruct


def from_image(times: Times, start: Start, method: Method, at_last: bool = True) -> Reconstruct:
    """A method whose first image is taken as it is.

    Args:
        times: N + 1 descending times.
        start: measurement -> first image.
        method: measurement -> what to do about it.
        at_last: a step at the last time, too: N + 1 of them.

    Returns:
        (key, measurement) -> image [H, W, C].
    """

    def reconstruct(key, measurement):
        iteration = method(measurement)
        state = integrate(iteration.kernel, key, iteration.begin(start(measurement)), times, at_last)
        return iteration.finish(state)

    return reconstruct
