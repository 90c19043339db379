"""Configuration to what is compared: methods under measurements, with the values that a sweep gives them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from scoreinv import build
from scoreinv.evaluation.condition import Condition, SimulatedScan
from scoreinv.operators.base import LinearOperator, Measurement, Transform, forward_model

DEFAULT_METHOD = "scoreinv"
NOT_SWEPT = ("modality", "oversample")  # the slices of a run are prepared for one of them
Point = Mapping[str, str]


def parse_axes(text: str, field: str = "sweep.over") -> dict[str, tuple[str, ...]]:
    """The axes in "name=value,value; name=value,value", the value of a field.

    Raises:
        ValueError: an axis without values, or named twice.
    """
    axes: dict[str, tuple[str, ...]] = {}
    for item in filter(None, (part.strip() for part in text.split(";"))):
        name, _, values = (part.strip() for part in item.partition("="))
        split = tuple(value.strip() for value in values.split(",") if value.strip())
        if not name or not split or name in axes:
            raise ValueError(f"{field}: {item!r} is no axis; write name=value,value with another name for each axis")
        axes[name] = split
    return axes


def points(text: str, combine: str) -> list[dict[str, str]]:
    """Every point of a sweep as axis -> value.

    Args:
        text: the axes, see `parse_axes`.
        combine: "grid": every combination; "list": the i-th values of all axes together.

    Raises:
        ValueError: no axis, an unknown `combine`, or lists of different lengths.
    """
    axes = parse_axes(text)
    if not axes:
        raise ValueError('sweep.over is empty; give axes as in "lam=0.2,0.6,1.0; acceleration=4,8"')
    lengths = {len(values) for values in axes.values()}
    if combine == "list" and len(lengths) > 1:
        raise ValueError(f"sweep.over: a list needs as many values on each axis, got {sorted(lengths)}; or use a grid")
    combined = build.choose({"grid": product, "list": zip}, combine, "sweep.combine")(*axes.values())
    return [dict(zip(axes, values, strict=True)) for values in combined]


def method_names(config) -> tuple[str, ...]:
    """What an evaluation compares: `evaluate.methods`, or all that the configuration names and its sampler last."""
    return tuple(config.evaluate.methods) or (*config.baselines, *config.supervised, *config.methods, DEFAULT_METHOD)


def with_method(config, name: str) -> ConfigDict:
    """A copy of the configuration whose sampler is the method called `name`, its preset written out.

    Raises:
        ValueError: no such method or preset, or an entry of `methods` with an unknown field.
    """
    config = config.copy_and_resolve_references()
    if name in build.SAMPLERS:
        config.sampler.update({"method": name, "settings": "", "preset": "", "predictor": ""})
    elif name not in (DEFAULT_METHOD, *config.methods, *config.supervised, *build.BASELINES):
        known = sorted({DEFAULT_METHOD, *config.methods, *config.supervised, *build.BASELINES, *build.SAMPLERS})
        raise ValueError(f"unknown method {name!r}; choose one of {', '.join(known)}")
    fields = dict(config.methods.get(name, {}))
    unknown = sorted(set(fields) - set(config.sampler))
    if unknown:
        raise ValueError(f"methods.{name}.{unknown[0]} is no field of sampler; fields: {', '.join(config.sampler)}")
    config.sampler.update(fields)
    # Written out here, so that the values that a sweep sets afterwards win over the preset's.
    config.sampler = build.with_preset(config.sampler)
    config.sampler.preset = ""
    return config


def is_sampler(config, name: str) -> bool:
    """Whether a method's name means a sampler, which `methods` may call as it likes."""
    return name in config.methods or name in build.SAMPLERS or name == DEFAULT_METHOD


def set_axis(config, method: str, name: str, value: str) -> bool:
    """Gives a configuration the value of one axis.

    Args:
        config: the copy made by `with_method`; changed in place.
        method: the method's name.
        name: `field` or `section.field` of operator or sampler, a setting of the method, or `<baseline>.<setting>`.
        value: as written.

    Returns:
        Whether the axis concerns the method.

    Raises:
        ValueError: a value of another type than the field's.
    """
    section, _, field = name.rpartition(".")
    if field in NOT_SWEPT:
        raise ValueError(f"sweep.over: {name!r} is one value for a whole run; set config.operator.{field}")
    if section in build.BASELINES:
        known = build.sampler_settings(build.BASELINES[section], {})
        if section == method and field in known:
            values = ConfigDict(config.baseline_settings.get(section, {}))
            values[field] = _typed(name, value, known[field])
            config.baseline_settings[section] = values
        return section == method and field in known
    if section in ("", "operator") and field in config.operator:
        config.operator[field] = _typed(name, value, config.operator[field])
        return True
    if not is_sampler(config, method):
        return False
    if section in ("", "sampler") and field in config.sampler:
        config.sampler[field] = _typed(name, value, config.sampler[field])
        return True
    if section in ("", "sampler") and field in build.sampler_settings(*build.SAMPLERS[config.sampler.method]):
        config.sampler.settings = ", ".join(filter(None, (config.sampler.settings, f"{field}={value}")))
        return True
    return False


def _typed(name: str, value: str, like):
    one = like[0] if isinstance(like, tuple) else like
    try:
        typed = type(one)(value)
        if isinstance(typed, float) and not np.isfinite(typed):
            raise ValueError
    except ValueError as error:
        kind = type(one).__name__
        raise ValueError(f"{name}={value!r}; give a finite value of type {kind}, as in {name}={one}") from error
    return (typed,) if isinstance(like, tuple) else typed


def point_conditions(config, sweep: Sequence[Point], shape: tuple[int, int, int]) -> list[Condition]:
    """The conditions of a sweep.

    Args:
        config: the configuration.
        sweep: axis -> value for each point; the axis `method` names the method.
        shape: (H, W, C) of the images.

    Returns:
        One condition a point; points that differ in axes that do not concern their method are one.

    Raises:
        ValueError: an axis that concerns no method, or anything wrong with a value. A number of calls that is too
            small for its method leaves out that point.
    """
    configured: dict[tuple[str, ...], tuple[dict[str, str], str, ConfigDict]] = {}
    unused = {name for point in sweep for name in point if name != "method"}
    for point in sweep:
        method = point.get("method", DEFAULT_METHOD)
        changed, labels = with_method(config, method), {"method": method}
        for name, value in point.items():
            if name != "method":
                concerned = set_axis(changed, method, name, value)
                labels[name] = value if concerned else ""
                unused -= {name} if concerned else set()
        configured.setdefault(tuple(labels.values()), (labels, method, changed))
    if unused:
        methods = sorted({point.get("method", DEFAULT_METHOD) for point in sweep})
        raise ValueError(
            f"sweep.over: {min(unused)!r} is neither a field of operator or sampler nor a setting of "
            f"{', '.join(methods)}; {_settings_of(config, methods)}"
        )
    return build_conditions(list(configured.values()), shape, named=False)


def _settings_of(config, methods: Sequence[str]) -> str:
    own = {
        name: build.sampler_settings(*build.SAMPLERS[with_method(config, name).sampler.method])
        for name in methods
        if is_sampler(config, name)
    }
    return "; ".join(f"{name} takes {', '.join(sorted(settings))}" for name, settings in own.items())


def method_conditions(config, shape: tuple[int, int, int]) -> list[Condition]:
    """The conditions of an evaluation: every method under every operator of the configuration."""
    configured = [({"method": name}, name, with_method(config, name)) for name in method_names(config)]
    return build_conditions(configured, shape, named=True)


def build_conditions(configured, shape, named: bool) -> list[Condition]:
    """Builds what was configured; equal operators are one, and so are equal transforms under different masks.

    Args:
        configured: (labels, method, configuration with that method) of each.
        shape: (H, W, C) of the images.
        named: whether a configuration may have several operators, whose names are a label.
    """
    shared = len({_geometry(config.operator) for _, _, config in configured}) > 1
    operators: dict[str, list[tuple[str, LinearOperator]]] = {}
    transforms: dict[Any, Transform] = {}
    for _, _, config in configured:
        if _geometry(config.operator) not in operators:
            mask_key = jax.random.split(jax.random.key(config.seed))[0]
            built = build.operators(config.operator, shape, mask_key, shared)
            operators[_geometry(config.operator)] = [
                (name, replace(o, transform=transforms.setdefault(_identity(o.transform), o.transform)))
                for name, o in built
            ]
    if not named and any(len(several) > 1 for several in operators.values()):
        raise ValueError("operator.acceleration or operator.views has several values; make them an axis of sweep.over")
    models = {id(t): forward_model(t, configured[0][2].operator.oversample) for t in transforms.values()}
    masks = {id(t): _common_mask_shape(t, operators) for t in transforms.values()}
    scans: dict[str, SimulatedScan] = {}
    conditions, refused = [], None
    for labels, name, config in configured:
        for operator_name, operator in operators[_geometry(config.operator)]:
            transform = id(operator.transform)
            operator = replace(operator, mask=jnp.broadcast_to(operator.mask, masks[transform]))
            own = labels | {"operator": operator_name} if named else labels
            try:
                conditions.append(_condition(config, name, own, operator, shape, models[transform], scans))
            except build.TooFewCalls as error:
                if named:
                    raise
                refused = error
                logging.warning("%s is left out: %s", ", ".join(filter(None, own.values())), error)
    if refused and not conditions:
        raise refused
    return conditions


def _common_mask_shape(transform, operators) -> tuple[int, ...]:
    """One shape for the masks of a transform, lines and points alike, so that a program takes them all."""
    every = [o for several in operators.values() for _, o in several]
    return np.broadcast_shapes(*(o.mask.shape for o in every if o.transform is transform))


def _geometry(section) -> str:
    geometry = {name: value for name, value in section.items() if name not in ("noise_std", "oversample")}
    return json.dumps(geometry, sort_keys=True)


def _identity(transform: Transform) -> Any:
    """Equal for transforms that do the same."""
    leaves, structure = jax.tree.flatten(transform)
    return structure, tuple(np.asarray(leaf).tobytes() for leaf in leaves)


def _condition(config, name: str, labels, operator: LinearOperator, shape, model, scans) -> Condition:
    """One condition; `scans` remembers the scans."""
    noise_std = config.operator.noise_std
    if not 0 <= noise_std < np.inf:
        raise ValueError(f"operator.noise_std={noise_std}; give a finite standard deviation >= 0")
    measured = {"labels": labels, "operator": operator, "model": model, "noise_std": noise_std}
    measured["batch_size"] = build.draws_at_once(config.sampler.batch_size, shape)
    if build.holds_metal(config.operator):
        raise ValueError("operator.metal=own: nobody knows these images without metal; use --mode=reconstruct")
    if config.operator.modality in build.SCANS:
        scanned = [config.operator.to_dict(), config.data.window, labels.get("operator", "")]
        identity = json.dumps(scanned, sort_keys=True)
        scans[identity] = scans.get(identity) or SimulatedScan(identity, build.scanner(config, operator, shape))
        measured["scan"] = scans[identity]
    if is_sampler(config, name):
        y = jax.eval_shape(operator, jax.ShapeDtypeStruct(shape, jnp.float32))
        seen = Measurement(jnp.zeros(y.shape, y.dtype), operator, jnp.float32(noise_std))
        make, settings = build.sampler(config.sampler, seen)
        samples = config.sampler.samples
        calls = samples * build.network_calls(make, settings)
        return Condition(make=make, settings=settings, samples=samples, network_calls=calls, **measured)
    if name in config.supervised:
        network, params = build.load_unrolled(config.supervised[name])
        return Condition(make=network, settings={}, samples=1, network_calls=1, network=params, **measured)
    baseline, settings = build.baseline_method(config, name)
    return Condition(make=baseline, settings=settings, samples=1, network_calls=0, **measured)
