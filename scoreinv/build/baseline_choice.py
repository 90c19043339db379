"""Configuration to the settings of classical methods among which an evaluation chooses on validation slices."""

from itertools import product

from scoreinv import build
from scoreinv.build.plan import build_conditions, method_names, parse_axes, set_axis, with_method
from scoreinv.evaluation.condition import Condition

FIELD = "evaluate.tuned"


def baseline_candidates(config, shape: tuple[int, int, int]) -> list[Condition]:
    """Every value of `evaluate.tuned` of the baselines that are compared, under every operator.

    Args:
        config: the configuration.
        shape: (H, W, C) of the images.

    Returns:
        Conditions with the labels method, setting and operator; none where nothing is to be chosen.

    Raises:
        ValueError: an axis that is no setting of a baseline, or a value of another type.
    """
    grids: dict[str, dict[str, tuple[str, ...]]] = {}
    for axis, values in parse_axes(config.evaluate.tuned, FIELD).items():
        method, _, setting = axis.rpartition(".")
        if setting not in build.sampler_settings(build.choose(build.BASELINES, method, f"baseline in {FIELD}"), {}):
            raise ValueError(f"{FIELD}: {setting!r} is no setting of the baseline {method}")
        grids.setdefault(method, {})[axis] = values
    configured = []
    for method in [name for name in method_names(config) if name in grids]:
        for values in product(*grids[method].values()):
            changed = with_method(config, method)
            for axis, value in zip(grids[method], values, strict=True):
                set_axis(changed, method, axis, value)
            setting = ", ".join(f"{axis.rpartition('.')[2]}={v}" for axis, v in zip(grids[method], values, strict=True))
            configured.append(({"method": method, "setting": setting}, method, changed))
    return build_conditions(configured, shape, named=True) if configured else []
