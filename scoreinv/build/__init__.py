"""Configuration to objects: the only tables from names to constructors.

`datasets` makes volumes and slices; `priors` networks, losses and priors; `training` trainings; `methods` samplers,
baselines and supervised networks; `measurements` operators and simulated scans. A newcomer adds a line to one table of
one of them.

`field`, `fields` and `checks` are the table of a configuration's fields. The names of `__init__.pyi` load on first use,
so that a command line is checked before JAX loads.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
