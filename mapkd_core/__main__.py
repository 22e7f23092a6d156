"""`python -m mapkd_core` is `mapkd`."""
import sys

from mapkd_core.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
