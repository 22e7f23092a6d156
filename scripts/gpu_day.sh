#!/usr/bin/env bash
# Everything that only a GPU can show, in at most 25 minutes on one large GPU: `mapkd benchmark gpu`, which says more.
#   scripts/gpu_day.sh --out runs/gpu_day                    # the same command goes on where it was interrupted
#   scripts/gpu_day.sh --out runs/gpu_day --minutes 9        # in several calls
#   scripts/gpu_day.sh --out runs/tiny --device cpu --tiny   # does all of it run?
# Needs no set-up: PYTHON (or .venv's, or python3) with PyTorch, and the packages that it names if they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/gpu_python.sh
exec "$python" -m mapkd_core benchmark gpu "$@"
