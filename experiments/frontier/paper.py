"""The whole frontier: up to the 2000 calls of the paper, every method, 16 validation slices, the bundled priors."""

from experiments.frontier import small

BUDGETS = (5, 10, 20, 35, 50, 100, 200, 500, 1000, 2000)


def get_config():
    """As small, with every budget that a method allows."""
    return small.get_config(BUDGETS, slices=16)
