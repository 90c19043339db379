"""Sweeps in words: what an axis may name, whom it concerns, and which conditions share a program."""

import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from scoreinv import build
from scoreinv.build.plan import method_conditions, point_conditions, points, with_method
from scoreinv.evaluation.runner import pairs_per_call, program_of, units_of
from scoreinv.evaluation.subset import spread
from scoreinv.operators.mri_masks import radial_mask

SHAPE = (16, 16, 1)


@pytest.fixture
def config():
    config = default.get_config()
    config.operator.center_fraction = 0.1
    config.sampler.update({"steps": 2, "samples": 1})
    return config


def sweep(config, text, combine="grid"):
    return point_conditions(config, points(text, combine), SHAPE)


def test_grid_and_list():
    assert points("lam=0,1; acceleration=4,8", "grid") == [
        {"lam": a, "acceleration": b} for a in ("0", "1") for b in ("4", "8")
    ]
    assert points("lam=0,1; acceleration=4,8", "list") == [
        {"lam": "0", "acceleration": "4"},
        {"lam": "1", "acceleration": "8"},
    ]


def test_data_share_a_program_and_structure_does_not(config):
    conditions = sweep(
        config, "lam=0.1,0.5,0.9; acceleration=2,4; noise_std=0,0.1; sigma_max=0.3,0.5; mask=random,equispaced"
    )
    assert len(conditions) == 48 and len({program_of(c) for c in conditions}) == 1
    assert len({program_of(c) for c in sweep(config, "steps=2,3; calls=0,9; lam=0.1,0.5")}) == 1
    assert len({program_of(c) for c in sweep(config, "cg_steps=2,3; lam=0.1,0.5")}) == 2
    one = conditions[-1]
    assert float(one.settings["method"]["lam"]) == pytest.approx(0.9)
    assert float(one.settings["levels"]["sigma_max"]) == pytest.approx(0.5)
    assert one.noise_std == 0.1 and one.labels["acceleration"] == "4"
    assert jnp.sum(one.operator.mask[0]) == pytest.approx(4, abs=1)


def test_a_radial_mask_has_as_many_diameters_as_lines(config):
    (condition,) = sweep(config, "mask=radial; acceleration=4")
    np.testing.assert_array_equal(condition.operator.mask, radial_mask(SHAPE[:2], 4))
    with pytest.raises(ValueError, match=r"acceleration 0.5 of 16 lines; give 1 to 16"):
        sweep(config, "mask=radial; acceleration=0.5")


def test_views_are_masks_on_one_sinogram(config):
    config.operator.update({"modality": "ct", "mask": "sparse_view"})
    conditions = sweep(config, "views=3,5,16")
    assert len({program_of(c) for c in conditions}) == 1
    assert [int(c.operator.mask.sum()) for c in conditions] == [3, 5, 16]
    limited = sweep(config, "views=3,8; mask=limited_angle; degrees=90")
    assert int(limited[1].operator.mask[:8].sum()) == 8 and int(limited[1].operator.mask[8:].sum()) == 0
    # Alone, a number of views has a transform of its own.
    assert method_conditions(config, SHAPE)[0].operator.mask.shape == (23, 1)


def test_an_axis_that_does_not_concern_a_method_does_not_multiply_it(config):
    conditions = sweep(config, "method=tv,song2022,dds; lam=0.2,0.8; tv.lam=0.01")
    assert [(c.labels["method"], c.labels["lam"], c.labels["tv.lam"]) for c in conditions] == [
        ("tv", "", "0.01"), ("song2022", "0.2", ""), ("song2022", "0.8", ""), ("dds", "", ""),
    ]  # fmt: skip
    assert float(conditions[0].settings["method"]["lam"]) == pytest.approx(0.01)


def test_methods_are_named_with_their_own_settings(config):
    config.methods.slow = {"method": "song2022", "settings": "lam=0.5", "steps": 7}
    config.methods.dds = {"steps": 3}
    conditions = method_conditions(config, SHAPE)
    assert [c.labels["method"] for c in conditions] == ["direct", "tv", "dds", "slow", "scoreinv"]
    assert [c.network_calls for c in conditions] == [0, 0, 4, 15, 3]
    config.evaluate.methods = ("slow", "ddnm", "tv")
    assert [c.labels["method"] for c in method_conditions(config, SHAPE)] == ["slow", "ddnm", "tv"]
    assert with_method(config, "ddnm").sampler.method == "ddnm"


@pytest.mark.parametrize("method", ["song2022", "langevin", "dpir"])
def test_calls_are_never_exceeded_and_nearly_used(config, method):
    config.sampler.update({"method": method, "calls": 20})
    make, settings = build.sampler(config.sampler)
    assert 20 - 3 < build.network_calls(make, settings) <= 20


MISTAKES = [
    ("lam=0.1; speed=3", "'speed' is neither a field of operator or sampler nor a setting of scoreinv; scoreinv takes"),
    ("lam", "'lam' is no axis; write name=value,value"),
    ("lam=0.1; lam=0.2", "is no axis"),
    ("lam=high", "'lam=high' needs a finite value of type float"),
    ("steps=2.5", "steps='2.5'; give a finite value of type int, as in steps=2"),
    ("method=dpir,bm3d", "unknown method 'bm3d'; choose one of ald_proximal"),
    ("oversample=1,2", "one value for a whole run"),
    ("acceleration=99", "acceleration 99"),
    ("calls=1,2; method=song2022", "sampler.calls=2, but one step of the method takes 3"),
    ("", "sweep.over is empty"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=lambda v: v[:24])
def test_mistakes_get_one_line(config, text, message):
    with pytest.raises(ValueError, match=message) as error:
        sweep(config, text)
    assert "\n" not in str(error.value)


def test_a_point_of_too_few_calls_is_left_out_where_others_remain(config):
    conditions = sweep(config, "method=song2022,dpir; calls=2,9")
    assert [(c.labels["method"], c.network_calls) for c in conditions] == [("song2022", 9), ("dpir", 2), ("dpir", 9)]


def test_lists_need_equal_lengths(config):
    with pytest.raises(ValueError, match="a list needs as many values on each axis"):
        sweep(config, "lam=0.1,0.2; acceleration=4", "list")


def test_units_hold_what_a_call_takes(config):
    config.sampler.update({"samples": 2, "batch_size": 8})
    conditions = sweep(config, "lam=0.1,0.5,0.9")
    size = pairs_per_call(conditions[0])
    units = units_of(conditions, 5)
    full = [size] * (15 // size) + [15 % size] * (15 % size > 0)
    assert size >= 4 and [len(u) for u in units] == full
    # A call takes as long as its longest pair: other numbers of steps come in calls of their own, beside one another.
    units = units_of(sweep(config, "steps=2,3; lam=0.1,0.5,0.9"), 5)
    assert [len(u) for u in units] == 2 * full
    assert all(len({c.network_calls for c, _ in unit}) == 1 for unit in units)


def test_slices_are_spread_over_subjects():
    subjects = ["a"] * 10 + ["b"] * 2 + ["c"] * 10
    chosen = spread(subjects, 8)
    assert [subjects[i] for i in chosen] == list("aaabbccc")
    assert chosen[:3] == [1, 5, 8]
    assert spread(subjects, 99) == list(range(22))
    assert spread(list("abcdef"), 2) == [1, 4]
