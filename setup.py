"""Which packages are built, the one thing that pyproject.toml cannot say; the rest stands there."""

from setuptools import find_packages, setup

setup(
    script_name="setup.py",  # as seen from a build frontend: else this file would be taken for a module of warmup.study
    packages=[*find_packages("workflow_scripts", include=["warmup", "warmup.*"]), "warmup.study"],
)
