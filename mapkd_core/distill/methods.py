"""Distillation methods by name."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mapkd_core.distill.bevdistill import BevDistill
from mapkd_core.distill.bridgeta import BridgeTa
from mapkd_core.distill.controls import FeatureDistillation, LogitDistillation, NoDistillation
from mapkd_core.distill.distillbev import DistillBev
from mapkd_core.distill.dualdistill import DualDistill
from mapkd_core.distill.interface import Method, Networks, method_config
from mapkd_core.distill.labeldistill import LabelDistill
from mapkd_core.distill.mapdistill import MapDistill
from mapkd_core.distill.mapkd import MapKd, MapKdCoach, MapKdCode, MapKdFinal, MapKdToken
from mapkd_core.distill.matched_queries import MatchedQueries
from mapkd_core.distill.ours import Balanced, LineSpace, Ours, Predictable
from mapkd_core.distill.pyramid import Pyramid
from mapkd_core.distill.tigbev import TigBev
from mapkd_core.distill.unidistill import UniDistill
from mapkd_core.distill.x3kd import X3kd
from mapkd_core.suggestion import did_you_mean

METHODS: dict[str, type[Method]] = {
    "none": NoDistillation,
    "kd_logit": LogitDistillation,
    "kd_mse": FeatureDistillation,
    "mapkd": MapKd,
    "mapkd_code": MapKdCode,
    "mapkd_final": MapKdFinal,
    "mapkd_token": MapKdToken,
    "mapkd_coach": MapKdCoach,
    "predictable": Predictable,
    "line_space": LineSpace,
    "ours": Ours,
    "balanced": Balanced,
    "pyramid": Pyramid,
    "bridgeta": BridgeTa,
    "dualdistill": DualDistill,
    "distillbev": DistillBev,
    "unidistill": UniDistill,
    "bevdistill": BevDistill,
    "tigbev": TigBev,
    "mapdistill": MapDistill,
    "x3kd": X3kd,
    "labeldistill": LabelDistill,
}
"""name -> Method; `docs/reference/distillation.md` says what each is."""
VECTOR_METHODS: dict[str, type[Method]] = {"matched_queries": MatchedQueries}
"""The same for teachers and students that both predict vertices."""


def method_class(name: str) -> type[Method]:
    """Raises ValueError for an unknown name, with the nearest known one."""
    known = {**METHODS, **VECTOR_METHODS}
    if name not in known:
        raise ValueError(f"no distillation method {name!r}{did_you_mean(name, known)}; there are {sorted(known)}")
    return known[name]


def build_method(name: str, networks: Networks, options: Mapping[str, Any]) -> Method:
    """A method with fresh train-only modules for these networks. Raises ValueError for an unknown name or option."""
    kind = method_class(name)
    return kind(networks, method_config(kind.Config, options, name))
