"""Configuration to objects: the only tables from names to constructors.

`priors` makes networks, losses, training data and priors; `methods` samplers, baselines and supervised networks;
`measurements` operators and simulated scans. A newcomer adds a line to one table of one of them.
"""

from scoreinv.build.measurements import MODALITIES, SCANS, Scanner, Simulated, operators, scanner
from scoreinv.build.methods import (
    BASELINES,
    PREDICTORS,
    SAMPLERS,
    STARTS,
    TIME_GRIDS,
    Baseline,
    Sampler,
    TooFewCalls,
    Unrolled,
    baseline,
    baseline_method,
    load_unrolled,
    network_calls,
    sampler,
    sampler_settings,
    unrolled_network,
    with_preset,
)
from scoreinv.build.names import choose
from scoreinv.build.priors import (
    SDES,
    SOURCES,
    fit_channels,
    load_prior,
    loss,
    model,
    prior_from,
    prior_metadata,
    prior_path,
    sde,
    source,
)

__all__ = [
    "BASELINES",
    "MODALITIES",
    "PREDICTORS",
    "SAMPLERS",
    "SCANS",
    "SDES",
    "SOURCES",
    "STARTS",
    "TIME_GRIDS",
    "Baseline",
    "Sampler",
    "Scanner",
    "Simulated",
    "TooFewCalls",
    "Unrolled",
    "baseline",
    "baseline_method",
    "choose",
    "fit_channels",
    "load_prior",
    "load_unrolled",
    "loss",
    "model",
    "network_calls",
    "operators",
    "prior_from",
    "prior_metadata",
    "prior_path",
    "sampler",
    "sampler_settings",
    "scanner",
    "sde",
    "source",
    "unrolled_network",
    "with_preset",
]
