"""Configuration: frozen dataclasses hold the defaults, YAML and the command line only override them."""
from __future__ import annotations

import dataclasses
import logging
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from mapkd_core.config_keys import renamed_override, with_new_names
from mapkd_core.config_ranges import AT_LEAST_ONE, BELOW_ONE, BETWEEN, NOT_NEGATIVE, POSITIVE, SHARE, check_ranges
from mapkd_core.files import inside
from mapkd_core.grid import BevGrid
from mapkd_core.loss_config import LossConfig
from mapkd_core.suggestion import did_you_mean
from mapkd_core.types import IMAGE_SIZE
from mapkd_core.yaml_file import read_yaml

T = TypeVar("T")
_LOG = logging.getLogger(__name__)

SCHEDULES, OPTIMIZERS = ("step", "cosine", "constant"), ("adam", "adamw", "muon")
HALF_TYPES = {"bf16-mixed": "bfloat16", "16-mixed": "float16"}
"""`precision` -> the type in which networks compute; `32-true` is the other one."""
PRECISIONS = ("32-true", *HALF_TYPES)


@dataclass(frozen=True)
class DataConfig:
    """Where training and validation frames come from."""

    train: str = "simdrive-v1:train"
    """`cache:DIR` (written by `mapkd cache`), `simdrive-v1:SPLIT`, or `nuscenes:DATAROOT:VERSION:SPLIT`."""
    val: str = "simdrive-v1:val"
    """The same for validation."""
    unlabelled: str = ""
    """Further frames, named alike, whose map is not looked at: a student that distils learns from its teacher there."""
    unlabelled_share: float = 0.5
    """Chance that a training sample is one of those."""
    streets: tuple[str, ...] = ()
    """Folders of real images, without calibration or map, on which a student's trunk learns to see (`mapkd masks`)."""
    street_masks: str = ""
    """Folder of their masks."""
    streets_a_sample: int = 2
    """Real images that go with every sample."""
    collage_share: float = 0.0
    """Chance that a sample gets real images for its cameras, with the map that their masks show on the ground."""
    image_size: tuple[int, int] = IMAGE_SIZE
    """Width and height of the images that the network is built for and fed with."""
    lidar: bool = False
    """Load LiDAR points; networks with LiDAR need them."""
    lidar_points: int = 81920
    """Points of a frame that a network sees, the sweep of the frame first; a cache of several sweeps may hold more."""
    sd_map: bool = False
    """Draw the SD map; networks with an SD prior need it."""
    window: int = 1
    """Consecutive frames of a drive that stand together in a batch, for a network with a memory; 1: single frames."""
    workers: int = 0
    """Loader processes; 0 loads in the training process."""

    def __post_init__(self) -> None:
        if len(self.image_size) != 2 or min(self.image_size) < 1:
            raise ValueError(f"data.image_size is {list(self.image_size)}; expected [width, height], both at least 1")
        ranges = {
            "lidar_points": AT_LEAST_ONE, "unlabelled_share": BETWEEN, "streets_a_sample": NOT_NEGATIVE,
            "collage_share": SHARE, "workers": NOT_NEGATIVE, "window": AT_LEAST_ONE,
        }  # fmt: skip
        check_ranges(self, ranges, "data.")
        if self.window > 1 and (self.unlabelled or self.streets):
            raise ValueError(f"data.window {self.window} goes without data.unlabelled and data.streets; leave them out")


@dataclass(frozen=True)
class AugmentConfig:
    """Changes to a training sample that keep its labels true; 0 turns one off."""

    photometric: float = 0.0
    """Strength 0..1 of brightness, contrast, saturation, hue and noise changes."""
    scale: float = 0.0
    """Largest relative zoom of an image, its intrinsics following."""
    flip: bool = False
    """Mirror the world left-right: images, calibration and labels together."""
    yaw_degrees: float = 0.0
    """Largest turn of the BEV frame: extrinsics and labels together."""
    shift_m: float = 0.0
    """Largest shift of the BEV frame ahead or back, half of it aside: extrinsics and labels together."""
    camera_dropout: float = 0.0
    """Chance that a sample loses one camera: its image becomes gray, and the student's cells do not look there."""
    extrinsic_degrees: float = 0.0
    """Standard deviation of a rotation error given to every camera, labels unmoved."""
    extrinsic_m: float = 0.0
    """Standard deviation of a translation error given to every camera, labels unmoved."""
    lean_degrees: float = 0.0
    """Standard deviation of a roll and a pitch error given to all cameras together, labels unmoved."""
    lean_m: float = 0.0
    """Standard deviation of a height error given to all cameras together, labels unmoved."""
    lidar_dropout: float = 0.0
    """Chance that a sample has no LiDAR points: a teacher whose images alone are strong is easier to imitate."""
    image_dropout: float = 0.0
    """Chance that a sample with LiDAR has no images (all become gray)."""
    style: float = 0.0
    """Largest share of a real image's low-frequency amplitudes that half of the samples' images take over (0..1)."""

    def __post_init__(self) -> None:
        shares = ("photometric", "camera_dropout", "lidar_dropout", "image_dropout", "style")
        sizes = ("yaw_degrees", "shift_m", "extrinsic_degrees", "extrinsic_m", "lean_degrees", "lean_m")
        ranges = {**dict.fromkeys(shares, SHARE), **dict.fromkeys(sizes, NOT_NEGATIVE), "scale": BELOW_ONE}
        check_ranges(self, ranges, "augment.")


@dataclass(frozen=True)
class TrainConfig:
    """One training run. `mapkd train --config FILE --KEY VALUE` overrides any of these."""

    name: str = "run"
    """Folder below `out`."""
    out: str = "runs"
    """Folder of all runs."""
    model: str = "student"
    """Name of the network (docs/how-to/train.md, "Networks")."""
    model_options: dict[str, Any] = field(default_factory=dict)
    """What differs from the network's own config, such as `{variant: nano}`."""
    grid: BevGrid = field(default_factory=BevGrid)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    init: tuple[str, ...] = ()
    """Earlier stages whose weights this run starts from: folders of training runs, or artifacts (card .json). Every
    parameter that a stage has under the same name and shape is taken; a stage that gives nothing is an error."""
    frozen: tuple[str, ...] = ()
    """Parts of the network, such as `trunk` or `trunk.stem`, that stay as they begin, their norms' statistics too."""
    steps: int = 10000
    """Optimizer steps of the whole run."""
    batch_size: int = 8
    """Samples of one optimizer step on one process, accumulation not counted."""
    accumulate: int = 1
    """Batches whose gradients are summed into one step."""
    optimizer: str = "adamw"
    """`adamw` (decoupled decay), `muon` (muon.py; with about five times the rate) or `adam` (the papers')."""
    learning_rate: float = 5e-4
    """Largest rate of the schedule."""
    weight_decay: float = 1e-7
    """Decay of the weights, by the optimizer's own rule."""
    schedule: str = "step"
    """`step` (times 0.1 every `decay_steps`), `cosine` (to zero at `steps`), or `constant`."""
    decay_steps: int = 0
    """Steps between two cuts of the rate by `schedule: step`; 0 for none."""
    warmup_steps: int = 0
    """First steps, over which the rate grows from zero."""
    clip_norm: float = 5.0
    """Largest norm of all gradients together; 0 for none."""
    ema: float = 0.0
    """Decay of the averaged weights that are evaluated and shipped; 0 for none."""
    precision: str = "32-true"
    """`32-true`, `bf16-mixed`, or on a GPU `16-mixed`; calibration and metres stay in 32 bits."""
    devices: int = 1
    """Processes on each machine, one a GPU."""
    nodes: int = 1
    """Machines."""
    accelerator: str = "auto"
    """`auto` (a GPU if there is one), `cpu` or `cuda`."""
    sync_batchnorm: bool = False
    """Batch statistics over all processes; on GPUs."""
    seed: int = 0
    """Decides first weights, samples and augmentation."""
    val_every: int = 1000
    """Steps between two validations."""
    val_batches: int = 0
    """Validation batches; 0 for the whole split."""
    log_every: int = 20
    """Steps between two entries in the log."""
    save_every: int = 200
    """Steps between two checkpoints."""

    def __post_init__(self) -> None:
        options = without_image_size(self.model_options, self.data.image_size, "model_options", "data.image_size")
        object.__setattr__(self, "model_options", options)
        self.folder()
        counts = ("steps", "batch_size", "accumulate", "log_every", "save_every", "val_every", "devices", "nodes")
        others = ("weight_decay", "decay_steps", "warmup_steps", "clip_norm", "seed", "val_batches")
        ranges = {**dict.fromkeys(counts, AT_LEAST_ONE), **dict.fromkeys(others, NOT_NEGATIVE)}
        check_ranges(self, {**ranges, "learning_rate": POSITIVE, "ema": BELOW_ONE})
        if self.batch_size % self.data.window:
            raise ValueError(
                f"batch_size {self.batch_size} is no multiple of data.window {self.data.window}, the frames in a row"
            )
        known_words = {"schedule": SCHEDULES, "optimizer": OPTIMIZERS, "precision": PRECISIONS}
        for name, known in known_words.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected one of {known}")

    def folder(self) -> Path:
        """The run's folder, `out`/`name`. Raises ValueError for a name that leads out of `out`."""
        return inside(self.out, self.name)


def without_image_size(
    options: Mapping[str, Any], image_size: Sequence[int], where: str, truth: str
) -> dict[str, Any]:
    """A network's options without the image size that older configs and cards repeat there.

    Raises ValueError, naming `where` the options stand and the key `truth`, if they give a size that is not
    `image_size`.
    """
    kept = dict(options)
    other = kept.pop("image_size", None)
    if other is not None and list(other) != list(image_size):
        raise ValueError(
            f"{where}.image_size is {list(other)}, {truth} is {list(image_size)}; a network sees images of one size: "
            f"leave {where}.image_size out"
        )
    return kept


def load_config(kind: type[T], path: str | Path | None, overrides: Sequence[str] = ()) -> T:
    """A config dataclass from YAML (None for the defaults) with `--key.inner value` overrides on top.

    Raises ValueError that names the file, the unknown key or the bad value, and the nearest known key.
    """
    values: Any = {}
    if path is not None:
        values = read_yaml(Path(path).expanduser(), "a config")
        if values is None:
            raise ValueError(f"{path} is empty; expected keys and values, or no config at all for the defaults")
        options = values.get("model_options") if isinstance(values, Mapping) else None
        if isinstance(options, Mapping) and "image_size" in options:
            _LOG.warning("%s: model_options.image_size can go: networks take their size from data.image_size", path)
    return load_config_dict(kind, values, overrides, str(path or "command line"))


def load_config_dict(kind: type[T], values: Any, overrides: Sequence[str] = (), where: str = "config") -> T:
    """The same from plain values, as `config_dict` made them."""
    from jsonargparse import ArgumentError, ArgumentParser

    values, overrides = with_new_names(values, where), [renamed_override(word) for word in overrides]
    _check_keys(kind, values, where, "")
    for word in overrides:
        if word.startswith("--"):
            _check_key(kind, word[2:].split("=")[0].split("."), "command line")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, None, fail_untyped=False)
    try:
        merged = parser.parse_args(list(overrides), namespace=parser.parse_object(values))
        return kind(**vars(parser.instantiate_classes(merged)))
    except (ArgumentError, TypeError, ValueError) as error:
        raise ValueError(f"{where}: {' '.join(str(error).split())}") from error


def config_dict(config: Any) -> dict[str, Any]:
    """The config as plain values, the way YAML writes it."""
    return typing.cast("dict[str, Any]", yaml.safe_load(yaml.safe_dump(_plain(asdict(config)))))


def yaml_text(config: Any) -> str:
    """The config as YAML, every key in the order of its declaration."""
    return str(yaml.safe_dump(config_dict(config), sort_keys=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _check_keys(kind: type, values: Any, where: str, prefix: str) -> None:
    if not isinstance(values, Mapping):
        raise ValueError(f"{where}: {prefix.rstrip('.') or 'the file'} is {values!r}; expected keys and values")
    hints = typing.get_type_hints(kind)
    for key, value in values.items():
        _check_key(kind, [str(key)], where)
        if dataclasses.is_dataclass(hints[key]):
            _check_keys(hints[key], value, where, f"{prefix}{key}.")  # type: ignore[arg-type]
        elif value is None and type(None) not in typing.get_args(hints[key]):
            raise ValueError(f"{where}: {prefix}{key} has no value; give it one, or leave the key out for the default")


def _check_key(kind: type, path: Sequence[str], where: str) -> None:
    hints = typing.get_type_hints(kind)
    known = [f.name for f in dataclasses.fields(kind)]
    if path[0] not in known:
        hint = did_you_mean(path[0], known) or f"; {kind.__name__} has {known}"
        raise ValueError(f"{where}: unknown key {path[0]!r}{hint}")
    if len(path) > 1 and dataclasses.is_dataclass(hints[path[0]]):
        _check_key(hints[path[0]], path[1:], where)  # type: ignore[arg-type]
