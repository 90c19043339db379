"""Table 1 at the scale of the paper: LIDC and LDCT, 23 views. Needs the two priors and the data, see README.md."""

from configs import default
from experiments.paper import ldct, lidc


def get_config():
    """Both halves of the table."""
    config = default.get_config()
    for name, dataset in {"lidc": lidc, "ldct": ldct}.items():
        config.parts[name] = part = dataset.get_config()
        part.evaluate.methods = ("direct", "tv", "song2022", "scoreinv")
        part.evaluate.slices = 100
    return config
