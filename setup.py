"""What pyproject.toml cannot say: the configurations in configs/ are installed inside of the package."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["scoreinv*"]), "scoreinv.configs"], package_dir={"scoreinv.configs": "configs"})
