"""The old place of `mapkd_core.commands.main`, kept for one version."""
from mapkd_core.commands.main import main

__all__ = ["main"]

if __name__ == "__main__":
    import sys

    sys.exit(main(last=True))
