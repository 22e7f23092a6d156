"""Where a training cache may be: in a folder, or at a plain URL of a known kind; never a command."""
from __future__ import annotations

import re

SCHEMES = ("http", "https", "gs", "hf", "s3")
"""Where a remote cache may be."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
# webdataset puts URLs into command lines (curl, gsutil): nothing that a shell reads as more than a word.
_URL = re.compile(r"[A-Za-z0-9+.-]+://[A-Za-z0-9._~:/?=&%@+,-]+")


def is_remote(location: str) -> bool:
    """Whether a location is a URL rather than a folder. Raises ValueError for a URL of another kind than SCHEMES."""
    found = _SCHEME.match(location)
    if found is None:
        return False
    if found[1].lower() not in SCHEMES or not _URL.fullmatch(location):
        raise ValueError(
            f"cache {location!r} is neither a folder nor a plain URL of {', '.join(f'{s}://' for s in SCHEMES)}; write "
            "a folder with a colon in its name as ./NAME"
        )
    return True


def is_streamed(data: str) -> bool:
    """Whether a config's `data.train` is a cache at a URL, whose order depends on the number of processes."""
    return data.startswith("cache:") and is_remote(data.removeprefix("cache:"))
