"""Networks by name: what a YAML or an artifact's card calls a model becomes a module here."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from mapkd_core.grid import BevGrid
from mapkd_core.model.hd_prior import HdPriorPretraining
from mapkd_core.model.mapnet import MapKdStudent, MapNet, MapNetConfig, hd_prior
from mapkd_core.model.options import configured, nearest
from mapkd_core.model.student import Student
from mapkd_core.model.student_config import student_config


def _student(grid: BevGrid, options: Mapping[str, Any]) -> nn.Module:
    return Student(grid, student_config(options))


def _mapnet(**fixed: Any) -> Callable[[BevGrid, Mapping[str, Any]], nn.Module]:
    def build(grid: BevGrid, options: Mapping[str, Any]) -> nn.Module:
        return MapNet(grid, configured("mapnet", MapNetConfig, {**fixed, **options}))

    return build


def _mapkd_student(grid: BevGrid, options: Mapping[str, Any]) -> nn.Module:
    return MapKdStudent(grid, configured("mapkd_student", MapNetConfig, options))


def _hd_prior(grid: BevGrid, options: Mapping[str, Any]) -> nn.Module:
    options = dict(options)
    ratio = float(options.pop("mask_ratio", 0.5))
    return HdPriorPretraining(hd_prior(grid, configured("hd_prior", MapNetConfig, options)), ratio)


MODELS: dict[str, Callable[[BevGrid, Mapping[str, Any]], nn.Module]] = {
    "student": _student,
    "hdmapnet": _mapnet(),
    "hdmapnet_lidar": _mapnet(camera=False, lidar=True),
    "hdmapnet_fusion": _mapnet(lidar=True),
    "pmapnet_c_sd": _mapnet(sd_prior=True),
    "pmapnet_c_sd_hd": _mapnet(sd_prior=True, hd_prior=True),
    "pmapnet_cl_sd": _mapnet(lidar=True, sd_prior=True),
    "teacher": _mapnet(lidar=True, sd_prior=True, hd_prior=True),
    "coach_sd": _mapnet(simulated_lidar=True, sd_prior=True),
    "coach": _mapnet(simulated_lidar=True, sd_prior=True, hd_prior=True),
    "mapkd_student": _mapkd_student,
    "hd_prior": _hd_prior,
}
"""name -> function (grid, options) -> module whose forward takes a Batch and returns a Prediction."""


def build_model(
    name: str, grid: BevGrid, options: Mapping[str, Any] | None = None, for_weights: bool = False
) -> nn.Module:
    """A network with fresh weights. Raises ValueError for an unknown name or option, with the nearest known one.

    `for_weights` says that the caller loads weights of its own next, so that pretrained ones are not looked for.
    """
    if name not in MODELS:
        raise ValueError(f"no model {name!r}{nearest(name, MODELS)}; there are {sorted(MODELS)}")
    options = dict(options or {})
    if for_weights and "pretrained" in options:
        options["pretrained"] = False
    return MODELS[name](grid, options)
