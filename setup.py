"""Lets older pip versions do an editable install; everything is declared in pyproject.toml."""
from setuptools import setup

setup()
