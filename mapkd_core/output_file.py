"""A file that a command is told to write: refused before the work where it cannot be made, not after it."""
from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path


def output_file(text: str) -> Path:
    """The type of an option that names a file to write; a folder, and what lies below a file, are refused."""
    path = Path(text)
    try:
        _existing_folder(path)
    except OSError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return path


def check_writable(path: Path) -> None:
    """Raises OSError if no file can be made at a path; missing folders are not made. What is there stays."""
    folder, target = _existing_folder(path), Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        return  # a device or a pipe
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _existing_folder(path: Path) -> Path:
    """The folder above a file's place that is there already; raises OSError where a file cannot have that place."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected the name of a file")
    folder = next(parent for parent in target.parents if parent.exists())
    if not folder.is_dir():
        raise NotADirectoryError(f"{path} cannot be made: {folder} is no folder; choose another place")
    return folder
