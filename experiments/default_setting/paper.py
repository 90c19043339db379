"""As small, at 128, 256 and 512 pixels, on 24 validation slices."""

from experiments.default_setting import small


def get_config():
    """Data packed at twice the largest side, or folders of volumes."""
    return small.get_config((128, 256, 512), slices=24)
