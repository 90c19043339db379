"""Table 1 on a few slices at 128 x 128 with the bundled CT prior."""

from experiments.small import body, short


def get_config():
    """23 views, noise, a finer object."""
    config = body()
    config.methods.song2022 = short("snr=0.246, lam=0.841")
    config.evaluate.methods = ("direct", "cgls", "tv", "song2022", "scoreinv")
    return config
