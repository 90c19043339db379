"""Table 1 on 28 test slices at 128 x 128 with the bundled CT prior."""

from experiments.small import body


def get_config():
    """23 views, noise, a finer object; `song2022`, with the paper's 2001 calls, when it is named."""
    config = body()
    config.methods.song2022 = {"preset": "lidc_sparse_ct", "samples": 1}
    config.evaluate.methods = ("direct", "cgls", "wavelet", "tv", "one_draw", "scoreinv")
    return config
