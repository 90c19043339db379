"""What is compared: one method under one measurement."""

from collections.abc import Callable
from typing import Any, NamedTuple

from scoreinv.operators.base import LinearOperator
from scoreinv.simulation.scanner import Scanner


class SimulatedScan(NamedTuple):
    """How a slice is measured where that is not A x with Gaussian noise.

    Attributes:
        identity: equal for scans that measure the same.
        measure: (key, image) -> the measurement and what belongs to it.
    """

    identity: str
    measure: Scanner


class Condition(NamedTuple):
    """One method under one measurement.

    Attributes:
        labels: what tells it from the others, for the columns of a table; "" where an axis does not concern the method.
        make: the method's structure; conditions of equal structure and transform share a compiled program.
        settings: the method's data.
        samples: draws whose mean is the reconstruction.
        batch_size: draws per call of the program.
        operator: reconstructs.
        model: makes the coefficients of a (finer) object; the operator's own transform unless oversampled.
        noise_std: of the measurement.
        network_calls: per image, over all draws.
        network: parameters that `make` takes in place of the prior; None: the prior.
        scan: measures, in place of `model` and `noise_std`; None: they do.
    """

    labels: dict[str, str]
    make: Callable[..., Any]
    settings: Any
    samples: int
    batch_size: int
    operator: LinearOperator
    model: Any
    noise_std: float
    network_calls: int
    network: Any = None
    scan: SimulatedScan | None = None
