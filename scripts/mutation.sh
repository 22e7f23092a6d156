#!/usr/bin/env bash
# Mutation testing with mutmut: arguments are those of scripts/mutation.py. The environment is sourced already.
set -euo pipefail
scripts/side_venv.sh .venv-mutation requirements/mutation.txt
exec "$PWD/.venv-mutation/bin/python" scripts/mutation.py "$@"
