"""Every field of every run, with its default. Other files in this folder override a few of them.

The fields, what they may hold, what they mean and which modes read them: `scoreinv/build/fields.py`, printed by
`python main.py --help-fields`.
"""

from ml_collections import ConfigDict

from scoreinv.build.fields import default_config


def get_config() -> ConfigDict:
    """The default configuration: reconstruction of one image with the bundled brain prior."""
    return default_config()
