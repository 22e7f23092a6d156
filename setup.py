"""Builds in a temporary folder, so that `pip wheel .` leaves nothing here; pyproject.toml declares everything else."""
import atexit
import shutil
import tempfile

from setuptools import setup

folder = tempfile.mkdtemp(prefix="mapkd_build_")
atexit.register(shutil.rmtree, folder, ignore_errors=True)
setup(options={"build": {"build_base": folder}, "egg_info": {"egg_base": folder}})
