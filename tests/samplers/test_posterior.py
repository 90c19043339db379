"""Every method against posteriors known in closed form; what comes out is recorded in `posterior_table.md`.

`python tests/samplers/test_posterior.py` measures again and rewrites the table (followed by names: the rows of these
methods); the test compares with it, so that it
cannot drift from the code.
"""

import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known_posteriors import (
    SHAPE,
    TAU,
    constant_measurement,
    gaussian_posterior,
    half_mask,
    masked_cosine,
    masked_pixels,
    mixture_posterior,
    mixture_prior,
)
from methods import METHODS, draw

CASES = ("exact", "noisy", "gains", "two modes")
TABLE = Path(__file__).with_name("posterior_table.md")


class Case(NamedTuple):
    """A posterior: (mean, std) of each measured coefficient and of each other one."""

    prior: Any
    measurement: Any
    measured: tuple[Any, Any]
    other: tuple[float, float]


@cache
def cases():
    """Gaussian prior with exact data, with noise, with noise and unequal gains; a two-mode prior with noise."""
    keys = jax.random.split(jax.random.key(7))
    mask = half_mask(keys[0])
    gain = jax.random.uniform(keys[1], SHAPE, minval=0.5, maxval=2.0)
    gaussian = mixture_prior(centers=(0.0, 0.0), weights=(0.5, 0.5), tau=TAU)
    cosine, gains = masked_cosine(mask), masked_cosine(mask, gain)
    noisy = gaussian_posterior(1.0, 0.25, np.asarray(gain, np.float64))
    return {
        "exact": Case(gaussian, constant_measurement(cosine, 1.0), gaussian_posterior(1.0, 0.0), (0.0, TAU)),
        "noisy": Case(gaussian, constant_measurement(cosine, 1.0, 0.25), gaussian_posterior(1.0, 0.25), (0.0, TAU)),
        "gains": Case(gaussian, constant_measurement(gains, 1.0, 0.25), noisy, (0.0, TAU)),
        "two modes": Case(
            mixture_prior(),
            constant_measurement(masked_pixels(mask), 0.3, 0.8),
            mixture_posterior(0.3, 1.0, 0.8),
            mixture_posterior(0.0, 0.0, 1.0),
        ),
    }


def errors(case, x):
    """Errors of mean and std, over measured and other coefficients, in percent of the prior's std."""
    operator = case.measurement.operator
    z = np.asarray(jax.vmap(operator.transform.forward)(x) / operator.transform.gain, np.float64)
    unit, found = case.other[1] / 100, []
    for on, (mean, std) in ((1, case.measured), (0, case.other)):
        chosen = np.broadcast_to(np.asarray(operator.mask) == on, z.shape)
        deviation = (z - mean)[chosen]
        expected = np.sqrt(np.mean(np.broadcast_to(std, z.shape)[chosen] ** 2))
        found += [deviation.mean() / unit, (deviation.std() - expected) / unit]
    return np.array(found)


def imposed(case):
    """The errors of mean and std of measured coefficients that take the value of the data."""
    y, operator, _ = case.measurement
    x = operator.transform.inverse(jnp.broadcast_to(y, SHAPE))
    return errors(case, x[None])[:2]


# The errors within which a method that samples the posterior must stay: 2 % of the prior's standard deviation for
# predictors alone, 5 % with Langevin correctors. Every other row of the table is a recorded bias.
PREDICTOR, CORRECTOR = 2.0, 5.0
POSTERIOR = {
    "song2022": {"exact": CORRECTOR},
    "song2022_follow_noise": {"exact": CORRECTOR, "noisy": CORRECTOR, "two modes": CORRECTOR},
    "song2022_predictor_only": {"exact": PREDICTOR, "noisy": PREDICTOR, "two modes": PREDICTOR},
    "ald_proximal": {"exact": CORRECTOR},
    "ald_proximal_follow_noise": {"exact": CORRECTOR, "noisy": CORRECTOR, "two modes": CORRECTOR},
    "score_sde": {"exact": CORRECTOR, "noisy": CORRECTOR},
    "score_sde_pseudo_inverse": {"exact": CORRECTOR, "noisy": CORRECTOR},
    "langevin": {"exact": CORRECTOR, "noisy": CORRECTOR},
    "mcg": {"exact": PREDICTOR},
    "pigdm": {"exact": PREDICTOR, "noisy": PREDICTOR, "gains": PREDICTOR},
    "ddnm": {"exact": PREDICTOR},
    "dds": {"exact": PREDICTOR},
    "dds_dual": {"exact": PREDICTOR},
    "posterior_langevin": dict.fromkeys(CASES, CORRECTOR),
    "split_gibbs": {"noisy": CORRECTOR, "gains": CORRECTOR, "two modes": CORRECTOR},
}
# Methods that impose the data, and so give for noisy data what exact data of these values would.
IMPOSING = ("song2022", "ald_proximal", "mcg", "dds", "dds_dual")
FAST = [(method, case) for method in ("song2022", "ddnm", "dds", "pigdm", "score_sde") for case in ("exact", "noisy")]
ALL = [(method, case) for method in METHODS for case in CASES]
HEADER = """# Posterior mean and standard deviation of every method, against the closed form

Errors in percent of the prior's standard deviation; `measured` and `other` are the measured and the remaining
coefficients. Cases: a Gaussian prior of standard deviation 0.5 behind a half-masked orthonormal transform with exact
data, with noise of 0.25, with that noise and gains between 0.5 and 2; and a two-mode prior behind a half mask with
noise of 0.8. 16 images of 4096 coefficients each, settings and steps as in `methods.py`, standard error about 0.6.
Written by `python tests/samplers/test_posterior.py`.

| method | case | measured: mean | measured: std | other: mean | other: std |
|---|---|---|---|---|---|
"""


def measure(method, case, count):
    return errors(cases()[case], draw(method, cases()[case].prior, cases()[case].measurement, count=count))


def recorded():
    """The table as {(method, case): errors}."""
    rows = [line.split("|")[1:-1] for line in TABLE.read_text().splitlines() if line.startswith("|")][2:]
    return {(row[0].strip(), row[1].strip()): np.array(row[2:6], float) for row in rows}


@pytest.mark.parametrize(("method", "case"), FAST)
def test_main_methods_against_the_table(method, case):
    np.testing.assert_allclose(measure(method, case, 4), recorded()[method, case], atol=4.0)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "case"), ALL)
def test_methods_against_the_table(method, case):
    np.testing.assert_allclose(measure(method, case, 16), recorded()[method, case], atol=0.5)


@pytest.mark.parametrize(("method", "case"), [(m, c) for m, claims in POSTERIOR.items() for c in claims])
def test_methods_that_sample_the_posterior_meet_it(method, case):
    np.testing.assert_allclose(recorded()[method, case], 0.0, atol=POSTERIOR[method][case])


@pytest.mark.parametrize("method", IMPOSING)
@pytest.mark.parametrize("case", CASES[1:])
def test_methods_that_impose_the_data_give_what_that_gives(method, case):
    np.testing.assert_allclose(recorded()[method, case][:2], imposed(cases()[case]), atol=0.5)


def test_the_table_has_a_row_for_each_method_and_case():
    assert set(recorded()) == set(ALL)


def rewrite(methods):
    """Writes the table with the rows of these methods measured now, the others as recorded."""
    known = recorded()
    rows = []
    for method, case in ALL:
        values = measure(method, case, 16) if method in methods else known[method, case]
        rows.append(f"| {method} | {case} | {' | '.join(f'{value + 0.0:.1f}' for value in values)} |\n")
    TABLE.write_text(HEADER + "".join(rows))


if __name__ == "__main__":
    rewrite(sys.argv[1:] or METHODS)
