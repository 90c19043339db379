"""A configuration against the table of fields: before any driver starts, every mistake as one line."""

import difflib
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from ml_collections import ConfigDict

from scoreinv.build.field import Field
from scoreinv.build.fields import FIELDS, TABLE


def check_config(config: ConfigDict, mode: str) -> None:
    """Refuses fields that do not exist, and values of another type or outside of their range.

    Args:
        config: the whole configuration, with its parts.
        mode: what is going to run.

    Raises:
        ValueError: names the field, its value and what is allowed.
    """
    _check_sections(config)
    if config.parts and mode not in TABLE["parts"].modes:
        raise ValueError(
            f"the configuration has parts ({', '.join(config.parts)}), --mode={mode} takes one without; give one of "
            "them by --config, such as configs/mri_demo.py"
        )
    for name, value in _leaves(config):
        _check_one(name, value)
    for name, fields in config.methods.items():
        for field, value in fields.items():
            if f"sampler.{field}" not in TABLE:
                known = ", ".join(config.sampler)
                raise ValueError(f"methods.{name}.{field} is no field of sampler; fields: {known}")
            TABLE[f"sampler.{field}"].check(value, f"methods.{name}.{field}")
    missing = sorted(set(TABLE) - {name for name, _ in _leaves(config)} - set(_optional(config)))
    if missing:
        raise ValueError(f"the configuration lacks {missing[0]}; start from configs/default.py")
    for name, part in config.parts.items():
        try:
            check_config(part, mode)
        except ValueError as error:
            raise ValueError(f"parts.{name}: {error}") from error


def _check_sections(config: ConfigDict) -> None:
    """Refuses values where names belong, and the other way round."""
    groups = {field.name for field in FIELDS if field.is_group}
    for name in sorted(groups | {field.rpartition(".")[0] for field in TABLE} - {""}):
        place: Any = config
        for part in name.split("."):
            place = place.get(part, {}) if isinstance(place, Mapping | ConfigDict) else place
        if not isinstance(place, Mapping | ConfigDict):
            raise ValueError(f"{name}={place!r}; {name} holds fields: set one of them, as in configs/default.py")
    for name, fields in (*config.methods.items(), *config.parts.items()):
        if not isinstance(fields, Mapping | ConfigDict):
            raise ValueError(f"{name}={fields!r}; `methods` and `parts` hold fields by name, see --help-fields")
    for name, path in config.supervised.items():
        if not isinstance(path, str):
            raise ValueError(f"supervised.{name}={path!r}; give a file or work directory of --mode=unroll")


def check_values(values: Mapping[str, Any]) -> None:
    """Refuses values of fields, by their names with sections; see `check_config`."""
    for name, value in values.items():
        _check_one(name, value)


def _optional(config: ConfigDict) -> Iterator[str]:
    return (name for name, field in TABLE.items() if field.is_group or name.startswith("baseline_settings."))


def _leaves(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(name, value) of every field, without what the groups hold."""
    for key, value in config.items():
        name = prefix + key
        if name in ("methods", "supervised", "parts") and isinstance(value, ConfigDict):
            continue
        if isinstance(value, ConfigDict):
            yield from _leaves(value, name + ".")
        else:
            yield name, value


def _check_one(name: str, value: Any) -> None:
    if name in TABLE:
        return TABLE[name].check(value)
    if name.startswith("baseline_settings."):
        number = isinstance(value, int | float) and math.isfinite(value)
        if not number:
            raise ValueError(f"{name}={value!r}; give a finite number")
        return None
    close = difflib.get_close_matches(name, TABLE, 1)
    raise ValueError(f"there is no field {name}; {f'did you mean {close[0]}?' if close else 'see --help-fields'}")


def check_overrides(config: ConfigDict, names: Iterable[str], mode: str) -> None:
    """Refuses fields that were set for this run although the mode, or the part, does not read them.

    Args:
        config: the whole configuration, with its parts.
        names: the fields that the command line sets, as in "operator.views" or "parts.ct.operator.views".
        mode: what is going to run.

    Raises:
        ValueError: names the field and who would read it.
    """
    for name in names:
        part, field = config, name
        if name.startswith("parts.") and name.count(".") > 1:
            _, own, field = name.split(".", 2)
            part = config.parts[own]
        elif config.parts and not name.startswith("parts"):
            one = next(iter(config.parts))
            raise ValueError(
                f"--config.{name}: this configuration is made of the parts {', '.join(config.parts)}; set the field of "
                f"one, as in --config.parts.{one}.{name}, or choose another --config"
            )
        _check_read(part, TABLE.get(field) or _group_of(field), name, mode)


def _group_of(name: str) -> Field:
    """The field that speaks for a name inside a group."""
    top = name.split(".")[0]
    return TABLE[top] if top in TABLE else next(f for f in FIELDS if f.name.startswith(f"{top}."))


def _check_read(config: ConfigDict, field: Field, name: str, mode: str) -> None:
    if mode not in field.modes:
        raise ValueError(f"--config.{name}: --mode={mode} does not read it, but {', '.join(field.modes)}; leave it out")
    if not field.when.holds(config, mode):
        raise ValueError(f"--config.{name}: read only {field.when.words}; leave it out, or change that")


def help_text() -> str:
    """Every field: name, default, allowed values, meaning, and who reads it when."""
    lines = ["Fields of a configuration; --config.<field>=value sets one."]
    for top, fields in groupby(FIELDS, lambda field: field.name.rpartition(".")[0]):
        lines += ["", f"[{top or 'top'}]"]
        for field in fields:
            default = "" if field.is_group else f" = {field.default!r}"
            lines.append(f"{field.name}{default}")
            allowed = "" if field.is_group else f" Allowed: {field.allowed()}."
            when = f"; only {field.when.words}" if field.when.words else ""
            text = f"{field.meaning}.{allowed} Read by {', '.join(field.modes)}{when}."
            lines += textwrap.wrap(text, 116, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)
