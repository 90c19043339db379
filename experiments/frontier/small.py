"""Quality against network calls, up to 200, for every method on a few validation slices with the bundled priors."""

from ml_collections import ConfigDict

from configs import limited_angle_demo
from experiments.small import body, brain
from scoreinv.samplers.presets import preset

BUDGETS = (5, 10, 20, 35, 50, 100, 200)
# Where a method starts. Published: from pure noise. NOISED: from the noised classical image, for small budgets.
LADDER = {"grid": "geometric", "start": "zero", "sigma_min": 0.01, "sigma_max": 20.0}
NOISE = {"grid": "karras", "start": "zero", "sigma_min": 0.005, "sigma_max": 10.0}
NOISED = {"grid": "geometric", "start": "pseudo_inverse", "sigma_min": 0.01, "sigma_max": 1.0}
# The paper's own four, with the settings published for each anatomy; those published for MRI alone serve CT, too.
PAPER = {
    "song2022": {"mri": "brats_mri", "ct": "lidc_sparse_ct"},
    "ald_proximal": {"mri": "brats_mri/ald_proximal"},
    "score_sde": {"mri": "brats_mri/score_sde"},
    "langevin": {"mri": "brats_mri/langevin"},
}
METHODS = {
    "dpir": {"settings": "churn=0.0"},
    "song2022_follow_noise": {"method": "song2022", "settings": "snr=0.16, lam=1.0, follow_noise=True", **NOISED},
    "dps": NOISE,
    "mcg": NOISE,
    "pigdm": {"settings": "data_std=0.34", **NOISE},
    "ddnm": NOISE,
    "dds": {"settings": "eta=0.85", **NOISE},
    "dds_dual": {"settings": "eta=0.85", **NOISE},
    "diffpir": {"settings": "zeta=0.3", **NOISE},
    "diffpir_noised": {"method": "diffpir", "settings": "zeta=1.0", **NOISED},
    "red_diff": NOISE | {"start": "pseudo_inverse"},
    "daps": {"settings": "ode_steps=2", **NOISE},
    "split_gibbs": {"settings": "prior_steps=5", **NOISED},
}


def paper(modality: str) -> dict[str, dict]:
    """The paper's four methods with the settings published for a modality, along a ladder from pure noise."""
    methods = {}
    for name, presets in PAPER.items():
        _, settings, _ = preset(presets.get(modality, presets["mri"]))
        methods[name] = {"settings": ", ".join(f"{k}={v}" for k, v in settings.items()), **LADDER}
    return methods


def get_config(budgets: tuple[int, ...] = BUDGETS, slices: int = 4):
    """A part for each of 4x and 8x MRI, CT from 23 views and CT from 90 of 180 degrees; single draws."""
    config = brain()
    config.parts = ConfigDict()
    parts = {
        "mri-4x": (brain(), {"acceleration": (4.0,)}),
        "mri-8x": (brain(), {"acceleration": (8.0,)}),
        "ct-23-views": (body(), {"views": (23,)}),
        "ct-90-degrees": (body(limited_angle_demo), {}),
    }
    for name, (part, operator) in parts.items():
        part.operator.update(operator)
        part.sampler.samples = 1
        part.methods.update(paper(part.operator.modality) | METHODS)
        methods = ",".join([*part.baselines, "scoreinv", *part.methods])
        part.sweep.over = f"method={methods}; calls={','.join(map(str, budgets))}"
        part.evaluate.update({"split": "validation", "slices": slices})
        config.parts[name] = part
    return config
