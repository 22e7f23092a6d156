"""Every reader of files, each with small sound files for it, to be tried on damaged ones.

A reader must read what it is given or raise an error of ours in one line that names the file: nothing else.
"""
from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
from damage import changed_file
from hypothesis import strategies as st

from mapkd_core.artifact import ArtifactError, check_graph, load_card, load_model, note_graph
from mapkd_core.cameras.calibration import CalibrationError, camera_model
from mapkd_core.cameras.rig_file import load_rig
from mapkd_core.commands.predict import _from_files
from mapkd_core.config import TrainConfig, config_dict, load_config, yaml_text
from mapkd_core.data import nuscenes_map
from mapkd_core.data.cache import CachedSamples, CacheIndex
from mapkd_core.data.cache_record import CacheOptions
from mapkd_core.data.cache_write import write_cache
from mapkd_core.data.frame_sample import SampleOptions
from mapkd_core.data.images import JpegFile
from mapkd_core.data.labels import map_elements
from mapkd_core.data.lidar import read_point_file
from mapkd_core.data.nuscenes import NuScenesSource
from mapkd_core.data.sd_map import ORIGINS, degrees_from_metres, read_roads
from mapkd_core.data.splits import scenes_of_split
from mapkd_core.evaluation.result_file import read_result
from mapkd_core.evaluation.training_curves import read_curves, read_images
from mapkd_core.files import FolderLock
from mapkd_core.geometry import transform_from_yaw
from mapkd_core.grid import BevGrid
from mapkd_core.map_formats.geojson import read_geojson
from mapkd_core.map_formats.lanelet2_read import read_lanelet2
from mapkd_core.map_formats.opendrive_read import read_opendrive
from mapkd_core.map_formats.projector_info import read_projector_info
from mapkd_core.mapping.street_map import MapOrigin, StreetElement, StreetMap
from mapkd_core.metrics.frame_file import FrameRecord, encode_semantic, read_frames
from mapkd_core.metrics.submission import read_submission
from mapkd_core.schema import FileFault
from mapkd_core.training.checkpoint import refuse_another_run, save_checkpoint
from mapkd_core.training.trained import trained_network
from mapkd_core.types import MapElement

Damage = Mapping[str, bytes]
"""Name of a file -> its damaged content."""
_KINDS = {".json": "json", ".geojson": "json", ".jsonl": "jsonl", ".yaml": "yaml"}
_CITY = "boston-seaport"
_GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)


@dataclass(frozen=True)
class Reader:
    """What reads some files of a folder."""

    name: str
    make: Callable[[Path], object]
    """Writes sound files into an empty folder."""
    read: Callable[[Path], object]
    costly: bool = False
    """Takes more than a few milliseconds."""
    repair: Callable[[Path], object] | None = None
    """Makes checksums fit damaged files, so that what is behind them is tried as well."""
    keep: tuple[str, ...] = field(default=())
    """Files that are not damaged: they say nothing, or another reader tries them."""


class Tried:
    """A reader on its files in a folder."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader, self.folder = reader, folder
        folder.mkdir(parents=True)
        reader.make(folder)
        self.files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()
        }
        reader.read(folder)

    def damages(self) -> st.SearchStrategy[tuple[Damage, bool]]:
        """One damaged file, and whether checksums are made to fit it."""
        names = [name for name in self.files if not name.endswith(self.reader.keep or ("\0",))]
        files = st.one_of([
            changed_file(self.files[name], _KINDS.get(Path(name).suffix, "")).map(lambda data, name=name: {name: data})
            for name in names
        ])
        return st.tuples(files, st.booleans() if self.reader.repair else st.just(False))

    def outcome(self, damage: Damage, repaired: bool) -> str:
        """`read`, `refused`, or what else happened."""
        for name, data in damage.items():
            (self.folder / name).write_bytes(data)
        try:
            if repaired and self.reader.repair is not None:
                self.reader.repair(self.folder)
            self.reader.read(self.folder)
            return "read"
        except (FileFault, ArtifactError, CalibrationError, FileNotFoundError) as error:
            return "refused" if _in_a_line(error) else f"{type(error).__name__}, not in a line: {error}"
        except Exception as error:
            told = type(error) is ValueError and _in_a_line(error) and self._names_a_file(str(error))
            return "refused" if told else f"{type(error).__name__}: {error}"
        finally:
            for name in self.files if repaired else damage:
                (self.folder / name).write_bytes(self.files[name])

    def _names_a_file(self, text: str) -> bool:
        return str(self.folder) in text or any(Path(name).name in text for name in self.files)


def _in_a_line(error: Exception) -> bool:
    text = str(error)
    return bool(text) and len(text) < 2000 and "\n" not in text


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def _jpeg(size: tuple[int, int] = (32, 16), ending: str = ".jpg") -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return bytes(cv2.imencode(ending, cv2.blur(pixels, (5, 5)))[1])


def _make_card(folder: Path) -> None:
    from tiny_student import save_tiny_student

    path = save_tiny_student(folder)
    path.with_suffix(".onnx").write_bytes(b"a graph")
    note_graph(path, path.with_suffix(".onnx"))


def _read_card(folder: Path) -> None:
    card = load_card(folder / "tiny.json")
    check_graph(folder / "tiny.json", card, folder / "tiny.onnx")


def _repair_card(folder: Path) -> None:
    try:
        card = json.loads((folder / "tiny.json").read_bytes())
        card["weights_sha256"] = hashlib.sha256((folder / "tiny.safetensors").read_bytes()).hexdigest()
        _write_json(folder / "tiny.json", card)
    except (ValueError, TypeError, RecursionError):
        return


def _make_street_map(folder: Path) -> None:
    line, ring = np.zeros((2, 3)), np.array([[0.0, 0, 0], [3, 0, 0], [3, 4, 0], [0, 0, 0]])
    elements = StreetElement(1, "divider", line, 0.5, 3), StreetElement(2, "ped_crossing", ring, closed=True)
    StreetMap(elements, origin=MapOrigin(60.4, 5.3, 1.0, 32632), metadata={"a": 1}).write(folder / "a.jsonl")


_OSM = """<?xml version='1.0'?>
<osm version="0.6"><MetaInfo generator="mapkd" frame="map" metadata="{}" origin="null" />
<node id="1" lat="1.0" lon="3.0"><tag k="local_x" v="0" /><tag k="local_y" v="0" /><tag k="ele" v="1" /></node>
<node id="2" lat="1.0001" lon="3.0" /><node id="3" lat="1.0001" lon="3.0001" /><node id="4" lat="1.0" lon="3.0001" />
<way id="5"><nd ref="1" /><nd ref="2" /><tag k="type" v="line_thin" /><tag k="mapkd:id" v="7" />
<tag k="mapkd:label" v="divider" /><tag k="mapkd:part" v="1/1" /><tag k="mapkd:score" v="0.5" />
<tag k="mapkd:sightings" v="3" /><tag k="mapkd:closed" v="no" /></way>
<way id="6"><nd ref="4" /><nd ref="3" /><tag k="type" v="curbstone" /></way>
<relation id="8"><member type="way" ref="5" role="left" /><member type="way" ref="6" role="right" />
<tag k="type" v="lanelet" /><tag k="subtype" v="crosswalk" /></relation></osm>
"""


_XODR = """<OpenDRIVE><header/><road id="1" length="20"><planView><geometry s="0" x="0" y="0" hdg="0" length="20">
<arc curvature="0.01"/></geometry></planView><lanes><laneSection s="0"><center><lane id="0"/></center><right>
<lane id="-1" type="driving"><width sOffset="0" a="3" b="0" c="0" d="0"/></lane></right></laneSection></lanes>
</road></OpenDRIVE>"""


def _make_maps(folder: Path) -> None:
    (folder / "a.xodr").write_text(_XODR)
    line = {"type": "LineString", "coordinates": [[5.3, 60.4, 1.0], [5.31, 60.4, 2.0]]}
    own = {"label": "divider", "score": 0.5, "sightings": 2, "closed": False, "attributes": {}, "reversed": False}
    features = [{"type": "Feature", "id": 3, "geometry": line, "properties": own},
                {"type": "Feature", "geometry": line, "properties": {"type": "curb"}}]  # fmt: skip
    origin = {"latitude_deg": 60.4, "longitude_deg": 5.3, "altitude_m": 0.0, "utm_epsg": 32632}
    head = {"format": "mapkd-geojson-1", "frame": "map", "metadata": {}, "origin": origin}
    text = json.dumps({"type": "FeatureCollection", "mapkd": head, "features": features})
    (folder / "a.geojson").write_text(text)


def _make_lanelet2(folder: Path) -> None:
    (folder / "a.osm").write_text(_OSM)
    (folder / "map_projector_info.yaml").write_text("projector_type: Local\n")


def _make_submission(folder: Path) -> None:
    vectors = [
        {"pts": [[0, 0], [1.5, 2]], "pts_num": 2, "type": 0, "confidence_level": 0.5},
        {"pts": [[0, 0], [1, 1], [2, 0], [0, 0]], "pts_num": 4, "type": 1, "confidence_level": 1},
    ]
    _write_json(folder / "a.json", {"meta": {"use_camera": True, "vector": True}, "results": {"t": vectors, "u": []}})


def _make_frames(folder: Path) -> None:
    line = MapElement("divider", np.array([[0, 0], [3, 4], [5, 5.0]]), 0.75)
    ring = MapElement("ped_crossing", np.array([[0, 0], [1, 0], [1, 1], [0, 0.0]]), 1.0, closed=True)
    artifact = {"name": "a", "version": "1"}
    header = {"format": "mapkd-frames-1", "grid": _GRID.as_dict(), "artifact": artifact, "data": "d"}
    records = [
        FrameRecord("t0", [line, ring], [ring], encode_semantic(np.zeros((4, 6), np.uint8)), "scene", ("day",)),
        FrameRecord("t1", [], stage_ms={"network": 1.5}),
    ]
    (folder / "a.jsonl").write_text("\n".join([json.dumps(header), *[r.line() for r in records], ""]))


def _make_tables(folder: Path) -> None:
    from tiny_nuscenes import write_tiny_nuscenes

    write_tiny_nuscenes(folder, {"scene-a": 2, "scene-b": 2})
    _write_json(folder / "v1.0-mini" / "splits.json", {"own": ["scene-a", "scene-b"]})


def _read_tables(folder: Path) -> None:
    source = NuScenesSource(folder, split="own")
    for frame in source:
        if frame.lidar is not None:
            frame.lidar()


def _expansion() -> dict[str, object]:
    corners = [(0, -8), (60, -8), (60, 8), (0, 8), (10, -6), (13, -6), (13, 6), (10, 6), (0, 0), (30, 1), (60, 0)]
    path = {"start_pose": [0, -2, 0.1], "shape": "LSR", "radius": 20.0, "segment_length": [3.0, 40.0, 2.0]}
    return {
        "version": "1.3",
        "node": [{"token": f"n{k}", "x": float(x), "y": float(y)} for k, (x, y) in enumerate(corners)],
        "line": [{"token": "l0", "node_tokens": ["n8", "n9", "n10"]}],
        "polygon": [
            {"token": "p0", "exterior_node_tokens": ["n0", "n1", "n2", "n3"],
             "holes": [{"node_tokens": ["n4", "n5", "n9"]}]},
            {"token": "p1", "exterior_node_tokens": ["n4", "n5", "n6", "n7"], "holes": []},
        ],
        "ped_crossing": [{"token": "c0", "polygon_token": "p1"}], "walkway": [{"token": "w0", "polygon_token": "p1"}],
        "road_segment": [{"token": "r0", "polygon_token": "p0"}], "lane": [{"token": "a0", "polygon_token": "p0"}],
        "lane_connector": [{"token": "a1"}],
        "road_divider": [{"token": "d0", "line_token": "l0"}],
        "lane_divider": [{"line_token": "l0", "lane_divider_segments": [{"segment_type": "DOUBLE_SOLID_WHITE"}]}],
        "arcline_path_3": {"a0": [path], "a1": [path]}, "connectivity": {"a0": {"outgoing": ["a1"]}},
    }  # fmt: skip


def _make_map(folder: Path) -> None:
    _write_json(folder / "maps" / "expansion" / f"{_CITY}.json", _expansion())
    square = [{"centre": [30, 0], "half_size": 80}]
    cities = {_CITY: {"squares": square, "squares_with_ped_crossing": square}}
    _write_json(folder / "map_coverage.json", {"cities": cities})


def _read_map(folder: Path) -> None:
    nuscenes_map.coverage.cache_clear()
    if nuscenes_map.covers(folder, _CITY, 20.0, 0.0):
        read = nuscenes_map.load_vector_map.__wrapped__(folder, _CITY)
        map_elements(read, transform_from_yaw(20.0, 0.0, 0.1), _GRID, "polygon")


def _make_geojson(folder: Path) -> None:
    line = degrees_from_metres(np.array([[0, 0], [30, 40.0], [60, 40]]), ORIGINS[_CITY]).tolist()
    kinds = [("LineString", line, "residential"), ("MultiLineString", [line, line[:2]], "primary"),
             ("Point", line[0], "road")]  # fmt: skip
    features = [
        {"type": "Feature", "properties": {"highway": road}, "geometry": {"type": kind, "coordinates": coordinates}}
        for kind, coordinates, road in kinds
    ]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
    _write_json(folder / f"{_CITY}.geojson", {"type": "FeatureCollection", "features": features, "crs": crs})


def _make_shapefile(folder: Path) -> None:
    import shapefile

    line = degrees_from_metres(np.array([[0, 0], [30, 40.0], [60, 40]]), ORIGINS[_CITY]).tolist()
    with shapefile.Writer(str(folder / _CITY)) as writer:
        writer.field("highway", "C", 20)
        writer.field("lanes", "N", 4)
        for parts in ([line], [line, line[:2]]):
            writer.line(parts)
            writer.record("residential", 2)
    (folder / f"{_CITY}.prj").write_text('GEOGCS["GCS_WGS_1984"]')


def _make_cache(folder: Path) -> None:
    from invented_frames import Drive

    write_cache(Drive(2), folder, CacheOptions((32, 16), lidar=True), shard_frames=1, progress=False)


def _read_shards(folder: Path) -> None:
    cached = CachedSamples(folder, SampleOptions(_GRID, (32, 16), lidar=True, sd_map=True))
    for index in range(len(cached)):
        cached[index]


def _make_unfinished_cache(folder: Path) -> None:
    from invented_frames import Drive

    try:
        write_cache(Drive(4, fails_at=2), folder, CacheOptions((32, 16)), shard_frames=2, progress=False, part_frames=1)
    except ValueError:
        return


def _read_unfinished_cache(folder: Path) -> None:
    from invented_frames import Drive

    try:
        write_cache(Drive(4, fails_at=2), folder, CacheOptions((32, 16)), shard_frames=2, progress=False, part_frames=1)
    except ValueError as error:
        if str(error) != "frame 2 is damaged":
            raise
    finally:
        (folder / "index.json").unlink(missing_ok=True)


def _make_calibration(folder: Path) -> None:
    camera = {"intrinsics": [[50, 0, 32], [0, 50, 18], [0, 0, 1]],
              "base_from_camera": [[0, 0, 1, 1.5], [-1, 0, 0, 0], [0, -1, 0, 1.6], [0, 0, 0, 1]]}  # fmt: skip
    _write_json(folder / "rig.json", {"front": camera, "rear": camera})
    for name in ("front", "rear"):
        (folder / f"{name}.jpg").write_bytes(_jpeg())


def _read_calibration(folder: Path) -> None:
    _from_files([folder / "front.jpg", folder / "rear.jpg"], folder / "rig.json")


_RIG = """image: /camera/{name}/image_raw
cameras:
  front:
    calibration: {size: [64, 36], K: [50, 50, 32, 18], D: [0.1, -0.02, 0.001, 0.0], distortion_model: plumb_bob}
    base_from_camera: {xyz: [1.5, 0.0, 1.6], yaw_pitch_roll_deg: [10, 1, 0]}
    mask: mask.png
  rear:
    image: /rear/compressed
    camera_info: /rear/info
    rectified: true
    frame: rear_optical
    base_from_camera: {xyz: [0, 0, 1.6], quaternion_xyzw: [-0.5, 0.5, -0.5, 0.5]}
    mask: [[[0, 0], [9, 0], [0, 9]]]
"""


def _make_rig(folder: Path) -> None:
    (folder / "rig.yaml").write_text(_RIG)
    (folder / "mask.png").write_bytes(bytes(cv2.imencode(".png", np.full((9, 16), 255, np.uint8))[1]))


def _make_result(folder: Path) -> None:
    classes = {"divider": 0.5, "ped_crossing": None, "boundary": 0.25}
    ap, iou = {"0.5/1/1.5": {"per_class": classes, "mAP": 0.3}}, {**classes, "miou": 0.4}
    _write_json(folder / "result.json", {
        "frames": 3, "ap": {"ap_chamfer": ap}, "iou": iou, "iou_exact_lines": iou,
        "by_distance": {"0-10 m": {"ap_chamfer_corrected": ap, "iou": iou}},
        "by_condition": {"day": {"ap": {"ap_chamfer": ap}, "iou": iou, "frames": 3}},
        "latency_ms": {"network": 3.5, "total": 5}, "notes": ["a note"], "examples": {"best": ["t0"], "worst": ["t1"]},
        "machine": "a machine",
    })  # fmt: skip


def _read_report(folder: Path) -> None:
    from mapkd_core.evaluation.report import build_report

    read_result(folder / "result.json")
    build_report(None, None, [folder])


def _make_config(folder: Path) -> None:
    (folder / "a.yaml").write_text(yaml_text(TrainConfig(init=("runs/a",), model_options={"variant": "nano"})))


_DEFAULTS = config_dict(TrainConfig())


def _make_run(folder: Path) -> None:
    _write_json(folder / "config.json", _DEFAULTS)
    (folder / "last.pt").touch()


def _make_checkpoint(folder: Path) -> None:
    from tiny_student import GRID, OPTIONS, SIZE

    from mapkd_core.config import DataConfig
    from mapkd_core.model.build import build_model

    config = TrainConfig(model_options=OPTIONS, grid=GRID, data=DataConfig(image_size=SIZE))
    network = build_model("student", GRID, SIZE, OPTIONS).state_dict()
    state = {"step": 3, "best": 0.5, "network": network, "average": {}, "config": config_dict(config)}
    save_checkpoint(folder / "best.pt", state)


def _make_published(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    tensors = {"conv.weight": torch.arange(12.0).reshape(3, 4), "bn.running_mean": torch.zeros(3)}
    torch.save({"state_dict": tensors, "epoch": 3}, folder / "a.pt")
    torch.save(tensors, folder / "old.pth", _use_new_zipfile_serialization=False)
    save_file(tensors, folder / "a.safetensors")


def _read_published(folder: Path) -> None:
    from mapkd_core.published.reader import read_checkpoint

    for name in ("a.pt", "old.pth", "a.safetensors"):
        {key: tensor.sum() for key, tensor in read_checkpoint(folder / name).tensors.items()}


def _make_engines(folder: Path) -> None:
    from mapkd_core.runtime.engine_cache import EngineCache

    cache = EngineCache(folder / "engines")
    (folder / "engines" / "a.engine").write_bytes(bytes(range(64)))
    cache.note()


def _read_engines(folder: Path) -> None:
    """What was changed is not there any more."""
    from mapkd_core.runtime.engine_cache import NOTE, EngineCache

    kept = [path for path in EngineCache(folder / "engines").folder.iterdir() if path.name != NOTE]
    assert all(path.read_bytes() == bytes(range(64)) for path in kept)


def _make_projector(folder: Path) -> None:
    (folder / "map_projector_info.yaml").write_text(
        "projector_type: LocalCartesianUTM\nvertical_datum: WGS84\n"
        "map_origin: {latitude: 42.336, longitude: -71.057, altitude: 3.5}\n"
    )


def _make_params(folder: Path) -> None:
    (folder / "student_node.yaml").write_text(
        "/**:\n  ros__parameters: {weights: nano, threads: 2, cameras: [front, rear]}\n"
        "student_node:\n  ros__parameters: {rate: 2.5, qos_overrides: {/tf: {depth: 3}}}\n"
    )


def _read_params(folder: Path) -> None:
    from mapkd_ros.params_file import parameters_for

    parameters_for(folder / "student_node.yaml", "/car/student_node")


def _make_splits(folder: Path) -> None:
    (folder / "own.txt").write_text("# ours\nscene-0061\nscene-0103 # rain\n")
    _write_json(folder / "splits.json", {"own": ["scene-0061"], "other": []})


def _read_splits(folder: Path) -> None:
    scenes_of_split(str(folder / "own.txt"), folder)
    scenes_of_split("own", folder)


def _make_points(folder: Path) -> None:
    np.random.default_rng(0).uniform(-50, 50, (20, 5)).astype(np.float32).tofile(folder / "a.bin")


def _make_images(folder: Path) -> None:
    for ending in (".jpg", ".png"):
        (folder / f"a{ending}").write_bytes(_jpeg((64, 36), ending))


def _read_images(folder: Path) -> None:
    for ending in (".jpg", ".png"):
        JpegFile(folder / f"a{ending}").rgb((16, 9))


def _make_poses(folder: Path) -> None:
    poses = [
        {"timestamp_us": 500_000 * k, "translation": [4.0 * k, 0.1 * k, 0], "rotation_wxyz": [1, 0, 0, 0.02 * k]}
        for k in range(5)
    ]
    _write_json(folder / "poses.json", {"poses": poses})


def _read_poses(folder: Path) -> None:
    from mapkd_core.sim.roads.trajectory import read_poses

    drive = read_poses(folder / "poses.json")
    drive.pose(0.5)


def _make_note(folder: Path) -> None:
    scene = {"seed": 3, "size": [32, 16], "conditions": {"weather": "clear"}}
    _write_json(folder / "export.json", {"version": "v1.0-mini", "scenes": {"scene-9001": scene}})


def _read_note(folder: Path) -> None:
    from mapkd_core.sim.export.claim import claim

    try:
        claim(folder, [], [], "v1.0-mini", 0.0)
    except FileExistsError:
        return


def _make_lock(folder: Path) -> None:
    gone = {"pid": 2**22 + 5, "host": socket.gethostname(), "since": "2026-01-01 00:00:00"}
    _write_json(folder / ".mapkd.lock", gone)


def _read_lock(folder: Path) -> None:
    from mapkd_core.files import FolderInUseError

    try:
        with FolderLock(folder):
            return
    except FolderInUseError as error:
        raise FileFault(str(error)) from error


def _make_info(folder: Path) -> None:
    _write_json(folder / "info.json", {
        "width": 64, "height": 36, "k": [50.0, 0, 32, 0, 50, 18, 0, 0, 1], "r": [1.0, 0, 0, 0, 1, 0, 0, 0, 1],
        "p": [50.0, 0, 32, 0, 0, 50, 18, 0, 0, 0, 1, 0], "d": [0.1, 0.01, 0.0, 0.0, 0.0],
        "distortion_model": "plumb_bob", "binning_x": 0, "binning_y": 0, "roi": [0, 0, 0, 0],
    })  # fmt: skip


def _read_info(folder: Path) -> None:
    """What fits a CameraInfo's types, as every message does, becomes one."""
    try:
        given = json.loads((folder / "info.json").read_bytes())
        whole = {key: int(given[key]) for key in ("width", "height", "binning_x", "binning_y")}
        roi = dict(zip(("x_offset", "y_offset", "width", "height"), map(int, given["roi"]), strict=True))
        floats = {key: np.array(given[key], np.float64).reshape(size) for key, size in (("k", 9), ("r", 9), ("p", 12))}
        floats["d"] = np.array(given["d"], np.float64).reshape(-1)
        model = str(given["distortion_model"])
        if not all(0 <= v < 2**32 for v in (*whole.values(), *roi.values())):
            return
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError, IndexError):
        return
    info = SimpleNamespace(**whole, **floats, distortion_model=model, roi=SimpleNamespace(**roi))
    for rectified in (False, True):
        camera_model(info, rectified)


def _make_log(folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "log"))
    for step in range(4):
        writer.add_scalar("val/miou", step / 4, step)
    writer.add_image("val/images", np.zeros((3, 4, 4), np.uint8), 3)
    writer.close()


def _read_log(folder: Path) -> None:
    read_curves(folder)
    read_images(folder, "val/images")


def _make_bag(storage: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        from bags import point, string, transform_message, write

        messages = [(10**9 + k, "/a", string("x" * k)) for k in range(8)]
        messages += [(10**9 + 20, "/tf", transform_message(10**9, "camera")), (10**9 + 30, "/p", point(10**9, 1.0))]
        write(folder / "bag", messages, storage)

    return make


def _read_bag(folder: Path) -> None:
    from mapkd_core.bags.reader import BagReader

    with BagReader(folder / "bag") as bag:
        for message in bag.messages():
            bytes(message.data)


READERS = (
    Reader("cards", _make_card, _read_card, keep=(".safetensors",)),
    Reader("submissions", _make_submission, lambda folder: read_submission(folder / "a.json", rings=True)),
    Reader("street maps", _make_street_map, lambda folder: StreetMap.read(folder / "a.jsonl")),
    Reader("Lanelet2 maps", _make_lanelet2, lambda folder: read_lanelet2(folder / "a.osm")),
    Reader("OpenDRIVE maps", _make_maps, lambda folder: read_opendrive(folder / "a.xodr"), keep=(".geojson",)),
    Reader("street maps as GeoJSON", _make_maps, lambda folder: read_geojson(folder / "a.geojson"), keep=(".xodr",)),
    Reader("frame files", _make_frames, lambda folder: [f.semantic for f in read_frames(folder / "a.jsonl")]),
    Reader("nuScenes' tables", _make_tables, _read_tables, keep=(
        ".jpg", ".png", "map.json", "attribute.json", "category.json", "instance.json", "sample_annotation.json",
        "visibility.json",
    )),
    Reader("map expansions", _make_map, _read_map),
    Reader("SD maps as GeoJSON", _make_geojson, lambda folder: read_roads(folder / f"{_CITY}.geojson")),
    Reader("SD maps as shapefiles", _make_shapefile, lambda folder: read_roads(folder / f"{_CITY}.shp")),
    Reader("cache indexes", _make_cache, lambda folder: CacheIndex.read(folder), keep=(".tar",)),
    Reader("cache shards", _make_cache, _read_shards, keep=(".json",)),
    Reader("unfinished caches", _make_unfinished_cache, _read_unfinished_cache, costly=True, keep=(".tar",)),
    Reader("calibrations of images", _make_calibration, _read_calibration, keep=(".jpg",)),
    Reader("rig files and masks", _make_rig, lambda folder: load_rig(folder / "rig.yaml")),
    Reader("camera_info", _make_info, _read_info),
    Reader("images", _make_images, _read_images),
    Reader("projector infos", _make_projector,
           lambda folder: read_projector_info(folder / "map_projector_info.yaml")),
    Reader("parameter files", _make_params, _read_params),
    Reader("engines of TensorRT", _make_engines, _read_engines),
    Reader("LiDAR points", _make_points, lambda folder: read_point_file(folder / "a.bin")),
    Reader("results", _make_result, _read_report),
    Reader("configs of runs", _make_run, lambda folder: refuse_another_run(folder, _DEFAULTS),
           keep=(".pt",)),
    Reader("lists of scenes", _make_splits, _read_splits),
    Reader("ego poses", _make_poses, _read_poses),
    Reader("notes of exports", _make_note, _read_note),
    Reader("locks", _make_lock, _read_lock),
    Reader("training configs", _make_config, lambda folder: load_config(TrainConfig, folder / "a.yaml"), costly=True),
    Reader("weights", _make_card, lambda folder: load_model(folder / "tiny.json"), costly=True, repair=_repair_card,
           keep=(".onnx",)),
    Reader("checkpoints", _make_checkpoint, trained_network, costly=True),
    Reader("published checkpoints", _make_published, _read_published, costly=True),
    Reader("TensorBoard logs", _make_log, _read_log, costly=True),
    Reader("bags, MCAP", _make_bag("mcap"), _read_bag, costly=True),
    Reader("bags, sqlite3", _make_bag("sqlite3"), _read_bag, costly=True),
)  # fmt: skip
"""Of everything that comes from outside, but for messages' images, which are `images`, and video."""
