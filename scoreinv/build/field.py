"""What a field of a configuration may hold, which modes read it, and when."""

import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

MODES = ("reconstruct", "prepare", "train", "unroll", "evaluate", "sweep", "tune", "calibrate", "report")
COMPARING = "evaluate sweep tune calibrate"
SAMPLING = f"reconstruct {COMPARING}"
LEARNING = "train unroll"
MILLION = 1_000_000
SIDE = 4096  # of images, pixels


@dataclass(frozen=True)
class When:
    """When a mode that reads a field looks at it.

    Attributes:
        words: completes "read only ...".
        holds: (configuration without parts, mode) -> whether.
    """

    words: str
    holds: Callable[[Any, str], bool]

    def __and__(self, other: "When") -> "When":
        words = " and ".join(filter(None, (self.words, other.words)))
        return When(words, lambda config, mode: self.holds(config, mode) and other.holds(config, mode))


def where(path: str, *values: Any) -> When:
    """The condition that another field has one of some values."""

    def holds(config: Any, mode: str) -> bool:
        for name in path.split("."):
            config = config[name]
        return config in values

    return When(f"where {path} is {' or '.join(repr(value) for value in values)}", holds)


ALWAYS = When("", lambda config, mode: True)
SINGLE = When("without slices", lambda config, mode: mode != "reconstruct" or not config.slices)
SIMULATED = When("without a measurement", lambda config, mode: mode != "reconstruct" or not config.measurement)
UNDERSAMPLED = When(
    "without a measurement or with scan.retrospective",
    lambda config, mode: SIMULATED.holds(config, mode) or config.scan.retrospective,
)


@dataclass(frozen=True)
class Field:
    """One field of a configuration.

    Attributes:
        name: with its section, as in "operator.views".
        default: its default; its type is the field's.
        meaning: in words.
        low: smallest number allowed, also of each entry of a tuple.
        high: largest number allowed.
        above: what a number must be larger than.
        choices: allowed values; or the name of a table of `scoreinv.build` whose keys they are.
        of: type of a tuple's entries; None: that of the default's.
        length: number of a tuple's entries; 0: any, at least one unless the default is empty.
        modes: those that read it.
        when: what else must hold for it to be read.
    """

    name: str
    default: Any
    meaning: str
    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    choices: Sequence[str] | str = ()
    of: type | None = None
    length: int = 0
    modes: tuple[str, ...] = MODES
    when: When = ALWAYS

    @property
    def is_group(self) -> bool:
        """Whether it holds names that the user chooses."""
        return isinstance(self.default, dict)

    @property
    def kind(self) -> type:
        """The type of its value, or of a tuple's entries."""
        if isinstance(self.default, tuple):
            return self.of or type(self.default[0])
        return type(self.default)

    def allowed(self) -> str:
        """What it may hold, in words."""
        if self.choices:
            return "one of " + ", ".join(name or "''" for name in self.names())
        many = isinstance(self.default, tuple)
        words = _WORDS[self.kind][many]
        if self.length:
            words = f"{self.length} {words}"
        if self.above > -math.inf:
            words += f" above {self.above:g}" + (f", up to {self.high:g}" if self.high < math.inf else "")
        elif self.low > -math.inf:
            words += f" from {self.low:g} to {self.high:g}" if self.high < math.inf else f" of at least {self.low:g}"
        return words

    def names(self) -> tuple[str, ...]:
        """The choices."""
        if not isinstance(self.choices, str):
            return tuple(self.choices)
        from scoreinv import build  # the tables of names load JAX

        return tuple(sorted({*getattr(build, self.choices), *([""] if self.default == "" else [])}))

    def check(self, value: Any, name: str = "") -> None:
        """Refuses a value with a ValueError.

        Args:
            value: of the field.
            name: what the message calls it; empty: its own name.
        """
        name, many = name or self.name, isinstance(self.default, tuple)
        entries = tuple(value) if many and isinstance(value, tuple | list) else (value,)
        right = many == isinstance(value, tuple | list) and all(map(self._fits, entries))
        if many and (len(entries) != self.length if self.length else not entries and self.default):
            right = False
        if self.choices and right and any(entry not in self.names() for entry in entries):
            bad = next(entry for entry in entries if entry not in self.names())
            raise ValueError(f"unknown {name} {bad!r}; choose {self.allowed()}")
        if not right:
            raise ValueError(f"{name}={value!r}; give {self.allowed()}")

    def _fits(self, value: Any) -> bool:
        if isinstance(value, bool) or self.kind in (bool, str):
            return type(value) is self.kind
        if not isinstance(value, numbers.Integral if self.kind is int else numbers.Real):
            return False
        number = float(value)
        return math.isfinite(number) and self.low <= number <= self.high and number > self.above


_WORDS = {
    bool: ("True or False", "values True or False"),
    int: ("an integer", "integers"),
    float: ("a finite number", "finite numbers"),
    str: ("a text", "texts"),
}


def section(name: str, modes: str, *fields: Field) -> tuple[Field, ...]:
    """Fields of one section.

    Args:
        name: of the section; empty: the top.
        modes: those that read the fields which name none themselves.
        fields: under their names in the section.
    """
    prefix = f"{name}." if name else ""
    own = tuple(modes.split())
    return tuple(
        replace(field, name=prefix + field.name, modes=own if field.modes is MODES else field.modes) for field in fields
    )


def only(*modes: str) -> tuple[str, ...]:
    """The modes of a field that not all of its section's modes read; names, or several in one text."""
    return tuple(" ".join(modes).split())
