"""Published settings per task and method, as plain dicts of keyword arguments.

Of the paper's samplers (Song, Shen, Xing, Ermon, ICLR 2022) as the authors' configurations have them: a VE diffusion
from 0.01 to 128 (220 for LDCT) on images in [0, 1], N levels equally spaced in t, which for VE is a geometric ladder.
`GRIDS` holds the arguments of `times.linear_times`; a method's own settings are in `PRESETS[task][method]`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

_THOUSAND = {"steps": 1000, "sigma_min": 0.01, "sigma_max": 128.0}
_SEVEN_HUNDRED = _THOUSAND | {"steps": 700}

# task -> method -> keyword arguments of the method, without its time grid
PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    # LIDC 320 x 320, 23 of 320 views
    "lidc_sparse_ct": {"song2022": {"snr": 0.246, "lam": 0.841}},
    # LDCT 512 x 512, 23 of 512 views
    "ldct_sparse_ct": {"song2022": {"snr": 0.400, "lam": 0.72}},
    # BraTS 240 x 240, 24x, 8x and 4x fewer lines
    "brats_mri": {
        "song2022": {"snr": 0.517, "lam": 1.0},
        "score_sde": {"snr": 0.608, "gamma": 1.231},
        "langevin": {"snr": 0.212, "gamma": 0.713, "steps_per_level": 3},
        "ald_proximal": {"snr": 0.386, "lam": 1.0, "steps_per_level": 3},
    },
    # LIDC metal artifact removal: all 320 views, 180 and 23 of them
    "lidc_mar_320": {"song2022": {"snr": 0.0, "lam": 0.355, "corrector_steps": 0}},
    "lidc_mar_180": {"song2022": {"snr": 0.0, "lam": 0.27, "corrector_steps": 0}},
    "lidc_mar_23": {"song2022": {"snr": 0.261, "lam": 0.865}},
}

# task -> method -> keyword arguments of `times.linear_times`
GRIDS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    task: {
        method: (_SEVEN_HUNDRED if method in ("langevin", "ald_proximal") else _THOUSAND)
        | ({"sigma_max": 220.0} if task == "ldct_sparse_ct" else {})
        for method in methods
    }
    for task, methods in PRESETS.items()
}


def preset(name: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The preset "task" (the paper's own method) or "task/method".

    Args:
        name: its name, e.g. "lidc_sparse_ct" or "brats_mri/langevin".

    Returns:
        (method, its keyword arguments, the arguments of `times.linear_times`).

    Raises:
        ValueError: unknown name.
    """
    task, _, method = name.partition("/")
    method = method or "song2022"
    if method not in PRESETS.get(task, {}):
        names = [t if m == "song2022" else f"{t}/{m}" for t, methods in PRESETS.items() for m in methods]
        raise ValueError(f"unknown sampler.preset {name!r}; choose one of {', '.join(sorted(names))}")
    return method, dict(PRESETS[task][method]), dict(GRIDS[task][method])


def dds_eta(calls: int) -> float:
    """The eta of DDS for a number of network calls, interpolated from 0.15, 0.5, 0.85 at 20, 50, 100 (Chung 2024).

    Args:
        calls: network calls per image.

    Returns:
        eta, held constant outside the published range.
    """
    return float(np.interp(calls, (20, 50, 100), (0.15, 0.5, 0.85)))
