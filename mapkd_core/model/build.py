"""Networks by name: what a YAML or an artifact's card calls a model becomes a module here."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mapkd_core.config import without_image_size
from mapkd_core.grid import BevGrid
from mapkd_core.model.depth_vectors import DepthVectorStudent
from mapkd_core.model.hd_prior import HdPriorPretraining
from mapkd_core.model.mapnet import MapKdStudent, MapNet, MapNetConfig, hd_prior
from mapkd_core.model.options import configured
from mapkd_core.model.pillar_vectors import PillarVectorStudent
from mapkd_core.model.stream_vectors import StreamVectorStudent
from mapkd_core.model.student import Student
from mapkd_core.model.student_config import student_config
from mapkd_core.model.vector_config import vector_config
from mapkd_core.model.vector_student import VectorStudent
from mapkd_core.suggestion import did_you_mean

ImageSize = tuple[int, int]
Build = Callable[[BevGrid, ImageSize, Mapping[str, Any]], nn.Module]


def _student(grid: BevGrid, image_size: ImageSize, options: Mapping[str, Any]) -> nn.Module:
    return Student(grid, image_size, student_config(options))


def _mapnet(**fixed: Any) -> Build:
    def build(grid: BevGrid, image_size: ImageSize, options: Mapping[str, Any]) -> nn.Module:
        return MapNet(grid, image_size, configured("mapnet", MapNetConfig, {**fixed, **options}))

    return build


def _mapkd_student(grid: BevGrid, image_size: ImageSize, options: Mapping[str, Any]) -> nn.Module:
    return MapKdStudent(grid, image_size, configured("mapkd_student", MapNetConfig, options))


def _vector_student(grid: BevGrid, image_size: ImageSize, options: Mapping[str, Any]) -> nn.Module:
    config = vector_config(options)
    kinds: dict[str, Callable[..., nn.Module]] = {"kernel": VectorStudent, "camera_depth": DepthVectorStudent}
    dense = StreamVectorStudent if config.memory else PillarVectorStudent
    return kinds.get(config.view, dense)(grid, image_size, config)


def _hd_prior(grid: BevGrid, image_size: ImageSize, options: Mapping[str, Any]) -> nn.Module:
    """The masked autoencoder of map rasters, which sees no image."""
    options = dict(options)
    ratio = options.pop("mask_ratio", 0.5)
    if not isinstance(ratio, int | float) or not 0 <= ratio <= 1:
        raise ValueError(f"option of model 'hd_prior': mask_ratio is {ratio!r}; expected a number from 0 to 1")
    return HdPriorPretraining(hd_prior(grid, configured("hd_prior", MapNetConfig, options)), ratio)


MODELS: dict[str, Build] = {
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
    "vector_student": _vector_student,
}
"""name -> function (grid, image size, options) -> module whose forward takes a Batch and returns a Prediction."""


def build_model(
    name: str,
    grid: BevGrid,
    image_size: ImageSize,
    options: Mapping[str, Any] | None = None,
    for_weights: bool = False,
) -> nn.Module:
    """A network with fresh weights for a grid and for images of `image_size` (width, height).

    `for_weights` says that the caller loads weights of its own next, all of them: pretrained ones are not looked for,
    and random ones are not drawn.
    Raises ValueError for an unknown name or option, with the nearest known one, and for a size that does not fit.
    """
    if name not in MODELS:
        raise ValueError(f"no model {name!r}{did_you_mean(name, MODELS)}; there are {sorted(MODELS)}")
    image_size = (int(image_size[0]), int(image_size[1]))
    options = without_image_size(options or {}, image_size, "the network's options", "its image size")
    if not for_weights:
        return MODELS[name](grid, image_size, options)
    if "pretrained" in options:
        options["pretrained"] = False
    with _NothingDrawn():
        return MODELS[name](grid, image_size, options)


_DRAWS = frozenset({
    Tensor.uniform_, Tensor.normal_, nn.init.uniform_, nn.init.normal_, nn.init.trunc_normal_, nn.init.xavier_uniform_,
    nn.init.xavier_normal_, nn.init.kaiming_uniform_, nn.init.kaiming_normal_, nn.init.orthogonal_,
})


class _NothingDrawn(TorchFunctionMode):
    """Leaves what would be drawn at random as the memory holds it, which the system then need not hand out."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The tensor as it is for a draw, else what the function gives."""
        if func in _DRAWS:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))
