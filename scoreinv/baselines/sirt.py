"""Simultaneous iterative reconstruction technique: the classical algebraic method of CT."""

from scoreinv.operators.algebraic import simultaneous_iterations
from scoreinv.samplers.base import Reconstruct


def sirt(*, iterations: int = 300) -> Reconstruct:
    """SIRT (Gregor and Benson 2008); see `simultaneous_iterations`.

    Args:
        iterations: number of steps; fewer smooth more.

    Returns:
        (key, measurement) -> image [H, W, 1], not negative; the key is not used.

    Raises:
        ValueError: complex data, whose operator has no meaningful row sums.
    """

    def reconstruct(key, measurement):
        return simultaneous_iterations(measurement.operator, measurement.y, iterations)

    return reconstruct
