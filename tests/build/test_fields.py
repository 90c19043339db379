"""The table of fields: what it refuses, who reads what, and that it is what the configurations hold."""

import importlib
import math
from pathlib import Path

import pytest

from scoreinv import build
from scoreinv.build import memory
from scoreinv.build.checks import check_config, check_overrides, help_text
from scoreinv.build.field import MODES
from scoreinv.build.fields import FIELDS, TABLE, default_config

CONFIGS = sorted(p.stem for p in (Path(__file__).parents[2] / "configs").glob("*.py") if p.stem != "__init__")
EXTREMES = {int: (2**40, -(2**40)), float: (math.nan, math.inf, -math.inf), bool: (2,), str: (3,)}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_configuration_passes(name):
    config = importlib.import_module(f"configs.{name}").get_config()
    check_config(config, "reconstruct")


def test_every_default_is_allowed_and_every_name_once():
    assert len(TABLE) == len(FIELDS)
    for field in FIELDS:
        assert field.modes and set(field.modes) <= set(MODES) and field.meaning
        if not field.is_group:
            field.check(field.default)


@pytest.mark.parametrize("field", [f for f in FIELDS if not f.is_group], ids=lambda f: f.name)
def test_every_field_refuses_extremes_and_other_types(field):
    wrong = [*EXTREMES[field.kind], None, object()]
    many = isinstance(field.default, tuple)
    values = [(bad, *field.default[1:]) if many else bad for bad in wrong] + [3 if many else (3,)]
    if many and field.default:
        values.append(())
    for value in values:
        with pytest.raises(ValueError, match=field.name.replace(".", r"\.")) as error:
            field.check(value)
        assert "\n" not in str(error.value)


def test_a_number_outside_of_its_range_is_refused_before_it_takes_memory():
    for name, value in {"operator.oversample": 1_000_000, "operator.detectors": 1_000_000, "data.size": 2**31,
                        "operator.full_views": 1_000_000, "operator.views": (1_000_000,)}.items():  # fmt: skip
        config = default_config()
        config.update_from_flattened_dict({name: value})
        with pytest.raises(ValueError, match=rf"{name}=\(?{value if isinstance(value, int) else value[0]}"):
            check_config(config, "reconstruct")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("operator.views", (True,), r"operator\.views=\(True,\)"),
        ("sampler", 3, "sampler=3; sampler holds fields"),
        ("methods", {"song2022": 3}, "song2022=3; `methods` and `parts` hold fields"),
        ("supervised", 1.0, "supervised=1.0; supervised holds fields"),
        ("supervised", {"unrolled": 3}, r"supervised\.unrolled=3; give a file"),
        ("parts", "x", "parts='x'; parts holds fields"),
        ("sampler.steps", {"a": 1}, r"there is no field sampler\.steps\.a"),
    ],
)
def test_what_is_neither_a_value_nor_fields_where_these_belong_is_refused(name, value, message):
    config = default_config()
    *section, last = name.split(".")
    place = config[section[0]] if section else config
    with place.ignore_type():
        place[last] = value
    with pytest.raises(ValueError, match=message):
        check_config(config, "reconstruct")


def test_what_fields_make_together_is_held_against_the_memory(monkeypatch):
    monkeypatch.setattr(memory.parallel, "machine_memory", lambda: 2**26)
    memory.check_memory((2, 1024, 1024), "lower one")
    with pytest.raises(ValueError, match=r"3 x 1024 x 1024 numbers take 0\.0117 GiB, .* 0\.00781; lower x"):
        memory.check_memory((3, 1024, 1024), "lower x")


def test_choices_are_those_of_the_tables_of_names():
    tables = [f for f in FIELDS if isinstance(f.choices, str) and f.choices]
    assert len(tables) == 10
    for field in tables:
        assert set(field.names()) - {""} == set(getattr(build, field.choices))


def test_a_misspelled_field_is_named_with_the_one_it_resembles():
    config = default_config()
    config.sampler.stpes = 3
    with pytest.raises(ValueError, match=r"no field sampler\.stpes; did you mean sampler\.steps"):
        check_config(config, "reconstruct")
    del config.sampler.stpes, config.sampler.steps
    with pytest.raises(ValueError, match=r"lacks sampler\.steps"):
        check_config(config, "reconstruct")


def test_parts_and_further_methods_are_checked_as_well():
    config = default_config()
    config.parts.one = default_config()
    config.parts.one.operator.views = (0,)
    with pytest.raises(ValueError, match=r"parts\.one: operator\.views"):
        check_config(config, "evaluate")
    with pytest.raises(ValueError, match="has parts"):
        check_config(config, "train")
    config = default_config()
    config.methods.slow = {"steps": -1}
    with pytest.raises(ValueError, match=r"methods\.slow\.steps=-1"):
        check_config(config, "evaluate")


UNREAD = [
    ({}, "train.steps", "reconstruct", "does not read it, but train, unroll"),
    ({}, "operator.kvp", "reconstruct", "where operator.modality is 'mar'"),
    ({"operator.modality": "ct"}, "operator.acceleration", "evaluate", "where operator.modality is 'mri'"),
    ({"operator.mask": "own.npy"}, "operator.acceleration", "reconstruct", "without a mask file"),
    ({"measurement": "scan.npz"}, "operator.modality", "reconstruct", "without a measurement"),
    ({"measurement": "scan.npz"}, "images", "reconstruct", "without a measurement"),
    ({"measurement": "scan.npz"}, "operator.acceleration", "reconstruct", "or with scan.retrospective"),
    ({"sampler.preset": "brats_mri"}, "sampler.steps", "reconstruct", "where sampler.preset is ''"),
    ({"sampler.calls": 9}, "sampler.steps", "reconstruct", "where sampler.calls is 0"),
    ({"data.packed": "slices.npz"}, "data.folders", "train", "where data.packed is ''"),
    ({"data.on_device": False}, "data.views", "train", "where data.on_device is True"),
    ({"model.parameterization": "score"}, "train.log_sigma_mean", "train", "where model.parameterization is 'edm'"),
    ({}, "train.t_min", "train", "where model.parameterization is 'score'"),
    ({}, "baseline_settings.tv.lam", "tune", "does not read it"),
    ({}, "parts.one.operator.kvp", "reconstruct", "where operator.modality is 'mar'"),
]


@pytest.mark.parametrize(("changes", "name", "mode", "message"), UNREAD, ids=lambda v: v if isinstance(v, str) else "")
def test_a_field_that_nobody_reads_is_refused_by_name(changes, name, mode, message):
    config = default_config()
    config.parts.one = default_config()
    if not name.startswith("parts"):
        config.parts = {}
    config.update_from_flattened_dict(changes)
    with pytest.raises(ValueError, match=f"--config.{name}: .*{message}"):
        check_overrides(config, [name], mode)


def test_what_is_read_passes_and_a_field_beside_parts_does_not():
    config = default_config()
    check_overrides(config, ["operator.acceleration", "sampler.steps", "images"], "reconstruct")
    study = default_config()
    study.measurement, study.scan.retrospective = "scan.npz", True
    check_overrides(study, ["operator.acceleration", "operator.mask", "operator.center_fraction"], "reconstruct")
    config.parts.one = default_config()
    check_overrides(config, ["parts.one.operator.acceleration"], "reconstruct")
    with pytest.raises(ValueError, match=r"--config\.parts\.one\.operator\.acceleration"):
        check_overrides(config, ["operator.acceleration"], "reconstruct")


def test_the_help_names_every_field():
    text = help_text()
    assert all(f"\n{field.name}" in text for field in FIELDS)
    assert max(map(len, text.splitlines())) <= 120
