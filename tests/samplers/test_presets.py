"""Presets: every one is a call that its method accepts, with the published numbers."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known_posteriors import constant_measurement, gaussian_prior, half_mask, masked_cosine, mixture_prior
from methods import METHODS

from configs import default
from scoreinv import build
from scoreinv.samplers.presets import GRIDS, PRESETS, dds_eta, preset
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
    assert jax.eval_shape(reconstruct, jax.random.key(0), measurement).shape == shape
    assert set(PRESETS[task][method]) <= set(inspect.signature(METHODS[method].method).parameters)


def test_network_calls_of_the_paper():
    built = {m: sampler_of(preset=f"brats_mri/{m}") for m in PRESETS["brats_mri"]}
    calls = {m: build.network_calls(*sampler) for m, sampler in built.items()}
    assert calls == {"song2022": 2001, "score_sde": 2001, "langevin": 2101, "ald_proximal": 2101}


def test_eta_follows_the_published_points():
    assert [dds_eta(n) for n in (5, 20, 50, 100, 1000)] == pytest.approx([0.15, 0.15, 0.5, 0.85, 0.85])
    assert dds_eta(75) == pytest.approx(0.675)


# Song et al. 2022, and the authors' configurations: task, method, settings, levels N, sigma_max.
PUBLISHED = [
    ("lidc_sparse_ct", "song2022", {"snr": 0.246, "lam": 0.841}, 1000, 128.0),
    ("ldct_sparse_ct", "song2022", {"snr": 0.40, "lam": 0.72}, 1000, 220.0),
    ("brats_mri", "song2022", {"snr": 0.517, "lam": 1.0}, 1000, 128.0),
    ("brats_mri", "score_sde", {"snr": 0.608, "gamma": 1.231}, 1000, 128.0),
    ("brats_mri", "langevin", {"snr": 0.212, "gamma": 0.713, "steps_per_level": 3}, 700, 128.0),
    ("brats_mri", "ald_proximal", {"snr": 0.386, "lam": 1.0, "steps_per_level": 3}, 700, 128.0),
    ("lidc_mar_320", "song2022", {"lam": 0.355, "corrector_steps": 0}, 1000, 128.0),
    ("lidc_mar_180", "song2022", {"lam": 0.27, "corrector_steps": 0}, 1000, 128.0),
    ("lidc_mar_23", "song2022", {"snr": 0.261, "lam": 0.865}, 1000, 128.0),
]


@pytest.mark.parametrize(("task", "method", "settings", "steps", "sigma_max"), PUBLISHED)
def test_the_published_numbers(task, method, settings, steps, sigma_max):
    found, kwargs, grid = preset(f"{task}/{method}")
    assert found == method and settings.items() <= kwargs.items()
    assert grid == {"steps": steps, "sigma_min": 0.01, "sigma_max": sigma_max}


def sampler_of(**fields):
    config = default.get_config().sampler
    config.update(fields)
    return build.sampler(config)


@pytest.mark.parametrize(
    ("name", "calls", "method"),
    [
        ("lidc_sparse_ct", 2001, {"snr": 0.246, "lam": 0.841}),
        ("lidc_mar_180", 1001, {"snr": 0.0, "lam": 0.27}),
        ("brats_mri/langevin", 2101, {"snr": 0.212, "gamma": 0.713}),
    ],
)
def test_a_preset_by_name_in_the_config(name, calls, method):
    make, settings = sampler_of(preset=name)
    assert settings["method"] == pytest.approx(method)
    assert settings["levels"] == pytest.approx({"sigma_min": 0.01, "sigma_max": 128.0})
    assert build.network_calls(make, settings) == calls


def test_settings_win_over_those_of_the_preset():
    _, settings = sampler_of(preset="lidc_sparse_ct", settings="lam=0.5")
    assert settings["method"] == pytest.approx({"snr": 0.246, "lam": 0.5})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"preset": "lidc"}, "unknown sampler.preset 'lidc'; choose one of brats_mri, brats_mri/ald_proximal"),
        ({"preset": "lidc_sparse_ct/dps"}, "unknown sampler.preset 'lidc_sparse_ct/dps'"),
        ({"predictor": "heun"}, "dpir has a step of its own; .* score_sde, song2022, unconditional"),
        ({"predictor": "euler", "method": "song2022"}, "unknown sampler.predictor 'euler'"),
    ],
)
def test_mistakes_say_what_is_allowed(fields, message):
    with pytest.raises(ValueError, match=message):
        sampler_of(**fields)


MIXED = [(m, p) for m in ("song2022", "score_sde", "unconditional") for p in build.PREDICTORS]
QUICK = [("unconditional", "heun"), ("song2022", "dpm_solver_2m")]


@pytest.mark.parametrize(
    ("method", "predictor"), [pytest.param(*m, marks=[] if m in QUICK else pytest.mark.slow) for m in MIXED]
)
def test_every_predictor_with_every_method_that_takes_one(method, predictor):
    """Beside proximal steps, guidance and correctors, they all reach one distribution: 4096 pixels of N(0, 0.5^2)."""
    fields = {"predictor": predictor, "steps": 150, "sigma_max": 8.0, "start": "zero", "grid": "geometric"}
    own = {"song2022": "snr=0.16, lam=1.0", "score_sde": "snr=0.16, gamma=1.0", "unconditional": ""}
    make, settings = sampler_of(method=method, settings=own[method], **fields)
    shape = (64, 64, 1)
    measurement = constant_measurement(masked_cosine(half_mask(jax.random.key(0), shape)), 0.0)
    prior = gaussian_prior(VESDE(0.01, 8.0), 0.5, shape=shape)
    x = jax.jit(lambda prior, s, m: make(prior, s)(jax.random.key(1), m))(prior, settings, measurement)
    mask = np.asarray(measurement.operator.mask)
    open_ones = np.asarray(measurement.operator.transform.forward(x))[
        mask == (0 if method != "unconditional" else mask)
    ]
    assert open_ones.std() == pytest.approx(0.5, rel=0.06)
    assert jnp.isfinite(x).all()
