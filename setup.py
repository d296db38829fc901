"""Packaging: the five folders are imported as ``headway.<folder>`` through the links in ``headway/``."""

from setuptools import find_packages, setup

setup(
    packages=find_packages(include=["headway", "headway.*"]),
    package_data={
        "headway": ["py.typed"],
        "headway.profiles": ["hardware/*.toml"],
        "headway.profiles.report": ["web/*"],
        "headway.trainer": ["tiny_policy/*", "recipes/*.toml"],
    },
)
