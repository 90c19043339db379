"""What pyproject.toml cannot say: configs/ is installed inside of the package, and the weights are a folder of it."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["scoreinv*"]), "scoreinv.configs", "scoreinv.weights"],
    package_dir={"scoreinv.configs": "configs"},
)
