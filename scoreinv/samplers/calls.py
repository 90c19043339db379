"""Counting network calls: read off the program itself, not claimed by the method."""

import dataclasses
from collections.abc import Callable

import jax
from jax.extend.core import jaxprs_in_params
from jaxtyping import PRNGKeyArray

from scoreinv.operators.base import Measurement
from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct


def count_network_calls(
    method: Callable[[Prior], Reconstruct], prior: Prior, key: PRNGKeyArray, measurement: Measurement
) -> int:
    """The number of evaluations of the score that one image takes, loops included.

    A loop whose length is data (an adaptive solver, a time grid whose number of steps is an array) counts once.

    Args:
        method: prior -> sampler.
        prior: the prior.
        key: any PRNG key.
        measurement: any measurement of the right shape.

    Returns:
        Calls of `prior.score_fn`; a call that is differentiated counts once for each pass.
    """

    @jax.jit
    def score_fn(x, t):
        return prior.score_fn(x, t)

    program = jax.make_jaxpr(method(dataclasses.replace(prior, score_fn=score_fn)))(key, measurement)
    return _count(program.jaxpr)


def _count(jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        repeats = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        if equation.params.get("name") == "score_fn":
            total += 1
            continue
        total += repeats * sum(_count(inner) for inner in jaxprs_in_params(equation.params))
    return total
