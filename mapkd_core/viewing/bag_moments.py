"""The moments of a bag: its sets of images, predicted, with the pose and the true map where they are known."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from mapkd_core.bags.camera_sets import CameraSets, thinned
from mapkd_core.bags.ego_poses import EgoPoses, read_poses
from mapkd_core.bags.reader import BagReader
from mapkd_core.cameras.calibration import Tables
from mapkd_core.cameras.timed_transforms import NoTransformError
from mapkd_core.data.labels import map_elements
from mapkd_core.map_files.drive_maps import predicted
from mapkd_core.map_files.moment import Moment, cameras_of_set
from mapkd_core.predictor import CameraError, MapPredictor
from mapkd_core.schema import FileFault
from mapkd_core.viewing.moments import MomentOptions, Moments, at_most, grid_of


def bag_moments(
    path: Path, predictor: MapPredictor | None, options: MomentOptions, note: Callable[[str], object]
) -> Moments:
    """See `open_moments`. Poses are needed only for a map."""
    resources = ExitStack()
    try:
        bag = resources.enter_context(BagReader(path))
        poses = _poses(bag, options, note)
        cameras = CameraSets(bag, options.rig, note, options.base_frame)
    except BaseException:
        resources.close()
        raise
    for line in [*bag.notes, *cameras.describe()]:
        note(line)
    tables: Tables = {}

    def walk(faults: Counter[str]) -> Iterator[Moment]:
        for one in islice(thinned(cameras.sets(), options.every_s), options.limit):
            try:
                result = None if predictor is None else predicted(one, predictor, tables)
            except CameraError as error:
                faults[f"{one.cameras[error.camera]}: {error.reason}"] += 1
                continue
            try:
                pose = None if poses is None else poses.at(one.stamp_ns)
            except NoTransformError:
                pose = None
            truth = None
            if options.road_map is not None and pose is not None:
                truth = map_elements(options.road_map, pose, grid_of(predictor), "polygon")
            seen = cameras_of_set(one, cameras.sizes, tables)
            yield Moment(f"{path.stem}:{one.stamp_ns}", path.stem, one.stamp_ns, seen, result, truth, pose)
        faults.update(cameras.not_formed())
        faults.update(bag.faults)

    return Moments(at_most(cameras.anchor_images, options), walk, resources)


def _poses(bag: BagReader, options: MomentOptions, note: Callable[[str], object]) -> EgoPoses | None:
    """The vehicle's poses; None where the bag has none and no map needs them."""
    try:
        poses = read_poses(bag, base_frame=options.base_frame)
    except FileFault as error:
        if options.road_map is not None:
            raise
        note(f"no poses, so all is shown from the vehicle: {error}")
        return None
    note(f"poses of {options.base_frame} in {poses.frame} from {poses.source}")
    return poses
