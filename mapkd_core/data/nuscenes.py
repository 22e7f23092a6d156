"""nuScenes, or anything in its folder format, as `Frame`s: images, calibration, poses, LiDAR and the road map."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.data.images import JpegFile
from mapkd_core.data.lidar import LidarSweep, Sweeps, gather_sweeps
from mapkd_core.data.nuscenes_map import covers, load_vector_map
from mapkd_core.data.nuscenes_tables import LIDAR, TABLES, NuScenesTables
from mapkd_core.data.splits import scenes_of_split
from mapkd_core.files import inside
from mapkd_core.geometry import Matrix, inverse, transform
from mapkd_core.schema import FileFault
from mapkd_core.types import CAMERAS, CameraView, Frame
from mapkd_core.vector_map import VectorMap


class NuScenesSource:
    """The keyframes of a nuScenes folder as `Frame`s, ordered by scene name and time.

    Images, LiDAR points and the road map are read when asked for. The tables are read once, without the devkit, and
    let go; what stays is small, can be pickled, and is shared by worker processes that fork.

    `split` names scenes (see `splits.scenes_of_split`); scenes of the split that this folder does not hold are
    passed over. `scenes` names them one by one instead, all of which must exist. With neither, all scenes.
    `lidar_sweeps` is how many sweeps up to the keyframe a `Frame.lidar()` gathers (P-MapNet: 3; 0 for none), or
    `Sweeps` with some after it too.
    `sd_folder` holds SD maps named after the locations (see `sd_map.read_roads`); by default `<dataroot>/osm`.

    Raises FileNotFoundError for a missing folder, table or image, ValueError for an unknown scene or split
    and for tables that do not fit together; each names what there is instead.
    """

    def __init__(
        self,
        dataroot: str | Path,
        version: str = "v1.0-mini",
        split: str | None = None,
        scenes: Sequence[str] | None = None,
        lidar_sweeps: int | Sweeps = 3,
        sd_folder: str | Path | None = None,
    ):
        self.dataroot, self.version = Path(dataroot).expanduser(), version
        chosen = Sweeps.of(lidar_sweeps)
        _check_folder(self.dataroot, version)
        sd_maps = {} if sd_folder is None else {"sd_folder": Path(sd_folder).expanduser()}
        tables = NuScenesTables(self.dataroot / version)
        reader = _KeyframeReader(tables, self.dataroot, chosen, partial(load_vector_map, **sd_maps))
        wanted = self._wanted([scene["name"] for scene in tables.rows("scene")], split, scenes)
        self.frames: list[Frame] = []
        for scene in sorted(tables.rows("scene"), key=lambda record: str(record["name"])):
            if scene["name"] in wanted:
                self.frames += reader.frames_of(scene)
        _check_images(self.frames)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Frame:
        return self.frames[index]

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    @property
    def scenes(self) -> list[str]:
        """Names of the scenes in this source, in order."""
        return list(dict.fromkeys(frame.scene for frame in self.frames))

    def mapped(self) -> NuScenesSource:
        """The frames for which there is a road map: those that can be trained on and scored."""
        return self._part([frame for frame in self.frames if frame.vector_map is not None])

    def only(self, split: str | None = None, scenes: Sequence[str] | None = None) -> NuScenesSource:
        """A source with some of this one's scenes, without reading the tables again."""
        wanted = self._wanted(self.scenes, split, scenes)
        return self._part([frame for frame in self.frames if frame.scene in wanted])

    def _part(self, frames: list[Frame]) -> NuScenesSource:
        part = object.__new__(NuScenesSource)
        part.dataroot, part.version, part.frames = self.dataroot, self.version, frames
        return part

    def _wanted(self, present: list[str], split: str | None, scenes: Sequence[str] | None) -> set[str]:
        where = f"{self.dataroot / self.version} has {len(present)} scenes: {_shortened(sorted(present))}"
        if scenes is not None:
            if split is not None:
                raise ValueError(f"both split {split!r} and scenes {list(scenes)} are given; give one of them")
            unknown = [name for name in scenes if name not in present]
            if unknown:
                raise ValueError(f"unknown scene {', '.join(unknown)}; {where}")
            return set(scenes)
        if split is None:
            return set(present)
        wanted = set(scenes_of_split(split, self.dataroot / self.version)) & set(present)
        if not wanted:
            raise ValueError(f"no scene of split {split!r} is here; {where}")
        return wanted


class _KeyframeReader:
    """Turns the tables' records into frames."""

    def __init__(
        self, tables: NuScenesTables, dataroot: Path, lidar: Sweeps, load_map: Callable[..., VectorMap]
    ):
        self.tables, self.dataroot, self.lidar, self.load_map = tables, dataroot, lidar, load_map
        self.mountings: dict[str, tuple[Matrix, Matrix | None]] = {}
        self.pose_at_us: dict[int, str] | None = None

    def frames_of(self, scene: dict[str, Any]) -> list[Frame]:
        location = self.tables.get("log", scene["log_token"], "scene")["location"]
        conditions = (location, *conditions_of(scene["description"]))
        samples = self.tables.samples_of(scene)
        return [self.frame(sample, scene["name"], location, conditions) for sample in samples]

    def frame(self, sample: dict[str, Any], scene: str, location: str, conditions: tuple[str, ...]) -> Frame:
        data = self.tables.data[sample["token"]]
        missing = [name for name in CAMERAS if name not in data]
        if missing:
            raise FileFault(
                f"keyframe {sample['token']} of {scene} has no image of {', '.join(missing)}; "
                f"its sensors are {', '.join(sorted(data)) or 'none'}"
            )
        map_from_base = self.pose_of_sample(sample, scene)
        sweeps = self.sweeps(sample, map_from_base) if self.lidar.until else []
        return Frame(
            token=sample["token"],
            scene=scene,
            stamp_ns=sample["timestamp"] * 1000,
            views=tuple(self.view(name, data[name]) for name in CAMERAS),
            map_from_base=map_from_base,
            vector_map=self.vector_map(location, map_from_base),
            lidar=partial(gather_sweeps, tuple(sweeps)) if sweeps else None,
            base_from_lidar=self.mounting(data[LIDAR]["calibrated_sensor_token"])[0] if LIDAR in data else None,
            conditions=conditions,
        )

    def view(self, name: str, record: dict[str, Any]) -> CameraView:
        base_from_camera, intrinsics = self.mounting(record["calibrated_sensor_token"])
        if intrinsics is None:
            raise FileFault(f"calibrated_sensor {record['calibrated_sensor_token']} of {name} has no camera_intrinsic")
        if not record.get("width") or not record.get("height"):
            raise FileFault(f"sample_data {record['token']} of {name} has no width and height; expected the image's")
        return CameraView(
            name=name,
            stamp_ns=record["timestamp"] * 1000,
            size=(int(record["width"]), int(record["height"])),
            intrinsics=intrinsics,
            base_from_camera=base_from_camera,
            image=JpegFile(self.file_of(record)),
            map_from_base=self.pose(record["ego_pose_token"]),
        )

    def mounting(self, token: str) -> tuple[Matrix, Matrix | None]:
        """`base_from_sensor` and, for a camera, its intrinsics; one object per calibration, however many frames."""
        if token not in self.mountings:
            record = self.tables.get("calibrated_sensor", token, "sample_data")
            intrinsics = np.array(record["camera_intrinsic"], np.float64) if record["camera_intrinsic"] else None
            self.mountings[token] = transform(record["translation"], record["rotation"]), intrinsics
        return self.mountings[token]

    def pose(self, token: str) -> Matrix:
        record = self.tables.get("ego_pose", token, "sample_data")
        return transform(record["translation"], record["rotation"])

    def file_of(self, record: dict[str, Any]) -> Path:
        """Where a record's image or points lie. Raises FileFault for a place outside the folder."""
        try:
            return inside(self.dataroot, record["filename"], "filename")
        except ValueError as error:
            raise FileFault(f"sample_data {record['token']}: {error}") from error

    def pose_of_sample(self, sample: dict[str, Any], scene: str) -> Matrix:
        """The ego pose at the sample's stamp: LIDAR_TOP's, or where that is absent the record with that stamp."""
        lidar = self.tables.data[sample["token"]].get(LIDAR)
        if lidar is not None:
            return self.pose(lidar["ego_pose_token"])
        if self.pose_at_us is None:
            self.pose_at_us = {record["timestamp"]: record["token"] for record in self.tables.rows("ego_pose")}
        token = self.pose_at_us.get(sample["timestamp"])
        if token is None:
            raise FileFault(
                f"keyframe {sample['token']} of {scene} has neither LIDAR_TOP nor an ego_pose record at its "
                f"timestamp {sample['timestamp']}; without the pose its map labels are unknown"
            )
        return self.pose(token)

    def vector_map(self, location: str, map_from_base: Matrix) -> Callable[[], VectorMap] | None:
        x_m, y_m = map_from_base[:2, 3]
        if not covers(self.dataroot, location, x_m, y_m):
            return None
        return partial(self.load_map, self.dataroot, location)

    def sweeps(self, sample: dict[str, Any], map_from_base: Matrix) -> list[LidarSweep]:
        """The keyframe's sweep and those around it, nearest first; fewer at the ends of a scene."""
        sweeps: list[LidarSweep] = []
        own = self.tables.data[sample["token"]].get(LIDAR)
        for record in [] if own is None else self.tables.sweeps_around(own, self.lidar.places()):
            base_from_lidar, _ = self.mounting(record["calibrated_sensor_token"])
            base_from_base_then = inverse(map_from_base) @ self.pose(record["ego_pose_token"])
            age_s = (sample["timestamp"] - record["timestamp"]) * 1e-6
            sweeps.append(LidarSweep(self.file_of(record), base_from_base_then @ base_from_lidar, age_s))
        return sweeps


def conditions_of(description: str) -> tuple[str, ...]:
    """`night` or `day`, and `rain` where it rains, read from a scene's description, which names both if so."""
    words = set(re.findall(r"[a-z]+", description.lower()))
    after_rain = "after rain" in description.lower()
    return ("night" if "night" in words else "day", *(("rain",) if "rain" in words and not after_rain else ()))


def _check_folder(dataroot: Path, version: str) -> None:
    if not dataroot.is_dir():
        raise FileNotFoundError(f"there is no nuScenes folder {dataroot}; give the folder that holds {version}/")
    folder = dataroot / version
    if not folder.is_dir():
        versions = sorted(path.parent.name for path in dataroot.glob("*/scene.json"))
        found = f"versions here: {', '.join(versions)}" if versions else "no folder in it holds a scene.json"
        raise FileNotFoundError(f"{dataroot} has no {version}/; {found}")
    missing = [name for name in TABLES if not (folder / f"{name}.json").is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} lacks the tables {', '.join(f'{name}.json' for name in missing)}")


def missing_images(frame: Frame) -> list[Path]:
    """Files of a keyframe's images that are not there."""
    paths = [view.image.path for view in frame.views if isinstance(view.image, JpegFile)]
    return [path for path in paths if not path.is_file()]


def scenes_with_images(frames: Sequence[Frame], most: int | None = None) -> str:
    """Which scenes have images where only a part of the data set was unpacked: words for an error.

    Of each scene the first `most` keyframes are looked at; all if None.
    """
    by_scene: dict[str, list[Frame]] = {}
    for frame in frames:
        by_scene.setdefault(frame.scene, []).append(frame)
    whole = [name for name, ones in by_scene.items() if not any(missing_images(one) for one in ones[:most])]
    return f"images are here of {_shortened(whole)}" if whole else "none of those asked for has its images here"


def _check_images(frames: Sequence[Frame]) -> None:
    """Fails at once, rather than in a worker, when the tables are here but the images are not."""
    missing = missing_images(frames[0]) if frames else []
    if missing:
        raise FileNotFoundError(
            f"the first keyframe's image {missing[0]} is missing; unpack the dataset's camera blobs there, or choose "
            f"other scenes ({scenes_with_images(frames, most=1)})"
        )


def _shortened(names: list[str], count: int = 12) -> str:
    return ", ".join(names[:count]) + (f", ... {names[-1]}" if len(names) > count else "")
