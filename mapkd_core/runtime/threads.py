"""How the CPU threads of a network wait for each other."""
from __future__ import annotations

import os
import sys


def wait_without_spinning() -> bool:
    """Lets PyTorch's threads sleep while they wait for each other; call it before torch is imported.

    OpenMP threads that have finished their share of an operator spin until the others have too. Where another
    process wants the core (a player, a camera driver, a training run) the spinning keeps the late thread from running:
    measured on two busy cores, the student then takes ten times as long. Sleeping costs some microseconds an operator.
    A value of OMP_WAIT_POLICY or GOMP_SPINCOUNT that the user has set is kept. Returns False where torch is already
    imported: its OpenMP has read the environment.
    """
    if "torch" in sys.modules:
        return False
    if "GOMP_SPINCOUNT" not in os.environ:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return True
