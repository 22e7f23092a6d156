"""The frozen networks that a distillation run names, checked to fit beside its student."""
from __future__ import annotations

from functools import partial

from torch import nn

from mapkd_core.distill.coarser import CoarserTeacher
from mapkd_core.distill.config import DistillConfig
from mapkd_core.distill.frozen import FrozenNetworks, Teachers
from mapkd_core.distill.methods import METHODS, VECTOR_METHODS, method_class
from mapkd_core.training.pseudo_labels import draw_unknown_labels
from mapkd_core.training.trained import load_trained
from mapkd_core.types import Batch


def frozen_networks(config: DistillConfig) -> FrozenNetworks:
    """The teacher and the coach that the config names; raises what `frozen_network` raises."""
    teacher, coach = (frozen_network(place, config) if place else None for place in (config.teacher, config.coach))
    if teacher is not None and config.more_teachers:
        teacher = Teachers([teacher, *(frozen_network(place, config) for place in config.more_teachers)])
    precision = config.teacher_precision or config.precision
    return FrozenNetworks(teacher, coach, partial(draw_unknown_labels, grid=config.grid), precision)


def frozen_network(place: str, config: DistillConfig) -> nn.Module:
    """The network of a run's folder or an artifact, fit to stand beside the run `config`.

    One trained on larger cells and smaller images is compared at the student's size by methods that only compare maps.
    One whose weights belong to a rig refuses batches of other cameras when it is asked (ValueError).
    Raises FileNotFoundError if there is none, ValueError if its sizes do not fit.
    """
    network, card = load_trained(place)
    if getattr(network, "rig_bound", False):
        network.register_forward_pre_hook(partial(_check_cameras, place, card.cameras))
    # `none` compares nothing: of the rows of a table it has the others' teacher, who at most draws labels, as maps.
    asked = config.method != "none" or (config.data.unlabelled and config.pseudo_labels)
    if asked and (card.model == "vector_student") != method_class(config.method).vectors:
        one, other = ("vertices", "class maps") if card.model == "vector_student" else ("a map", "vertices")
        raise ValueError(
            f"{place} predicts {one}; the method {config.method!r} compares {other}: name another teacher or method "
            f"(methods that compare vertices: {', '.join(VECTOR_METHODS)})"
        )
    grid, size = card.grid, tuple(card.input_size)
    own_size = tuple(config.data.image_size)
    if (grid, size) == (config.grid, own_size):
        return network
    if not method_class(config.method).any_cells:
        raise ValueError(
            f"{place} was trained on {grid} with images of {size}, this run has {config.grid} and {own_size}; the "
            f"method {config.method!r} needs networks of one size (methods that do not: {_any_cells()})"
        )
    return CoarserTeacher(network, grid, (size[0], size[1]), config.grid, (own_size[0], own_size[1]))


def _check_cameras(place: str, own: tuple[str, ...], network: nn.Module, given: tuple[Batch, ...]) -> None:
    """Raises ValueError for a sample of other cameras, or of the same in another order, which methods may compare."""
    for cameras in given[0].cameras:
        if cameras and cameras != own:
            raise ValueError(
                f"the weights of {place} hold for one rig with the cameras {', '.join(own)}, a training frame has "
                f"{', '.join(cameras)}: bring them into this order under these names, or name another teacher"
            )


def _any_cells() -> str:
    return ", ".join(name for name, kind in METHODS.items() if kind.any_cells)
