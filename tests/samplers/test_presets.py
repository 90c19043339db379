"""Presets: every one is a call that its method accepts, with the published numbers."""

import inspect

import jax
import numpy as np
import pytest
from known_posteriors import constant_measurement, half_mask, masked_cosine, mixture_prior
from methods import METHODS

from scoreinv.samplers.presets import GRIDS, PRESETS, dds_eta
from scoreinv.samplers.times import linear_times
from scoreinv.sde import VESDE

PAIRS = [(task, method) for task, methods in PRESETS.items() for method in methods]


@pytest.mark.parametrize(("task", "method"), PAIRS)
def test_a_preset_is_a_valid_call_on_its_ladder(task, method):
    grid = GRIDS[task][method]
    sde = VESDE(grid["sigma_min"], grid["sigma_max"])
    times = linear_times(sde, **grid)
    np.testing.assert_allclose([times[0], times[-1]], [1.0, 0.0], atol=1e-5)
    shape = (4, 4, 1)
    measurement = constant_measurement(masked_cosine(half_mask(jax.random.key(0), shape)), 1.0)
    reconstruct = METHODS[method].method(mixture_prior(sde, shape=shape), times=times[::100], **PRESETS[task][method])
    assert reconstruct(jax.random.key(0), measurement).shape == shape
    assert set(PRESETS[task][method]) <= set(inspect.signature(METHODS[method].method).parameters)


def test_network_calls_of_the_paper():
    calls = {m: METHODS[m].module.network_calls(GRIDS["brats_mri"][m]["steps"]) for m in PRESETS["brats_mri"]}
    assert calls == {"song2022": 2001, "score_sde": 2001, "langevin": 2101, "ald_proximal": 2101}


def test_eta_follows_the_published_points():
    assert [dds_eta(n) for n in (5, 20, 50, 100, 1000)] == pytest.approx([0.15, 0.15, 0.5, 0.85, 0.85])
    assert dds_eta(75) == pytest.approx(0.675)
