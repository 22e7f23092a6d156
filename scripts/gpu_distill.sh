#!/usr/bin/env bash
# HDMapNet, MapKD's student and ours at full size, alone and taught, in at most 25 minutes on one large GPU:
# `mapkd benchmark gpu_distill`, which says more.
#   scripts/gpu_distill.sh --out runs/gpu_distill                    # the same command goes on where it was interrupted
#   scripts/gpu_distill.sh --out runs/tiny_distill --device cpu --tiny
# Needs no set-up: PYTHON (or .venv's, or python3) with PyTorch, and the packages that it names if they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/gpu_python.sh
exec "$python" -m mapkd_core benchmark gpu_distill "$@"
