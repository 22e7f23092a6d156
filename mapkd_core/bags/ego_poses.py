"""Where the vehicle was at any time of a bag: from /tf, each transform at its own time, or from Odometry messages.

    with BagReader("drive.mcap") as bag:
        poses = read_poses(bag)
        map_from_base = poses.at(stamp_ns)
"""
from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.bags.plain_messages import PlainMessages
from mapkd_core.bags.reader import BagReader
from mapkd_core.bags.sensor_fields import BASE_FRAME, TF_MESSAGE
from mapkd_core.geometry import transform
from mapkd_core.schema import FileFault

ODOMETRY = "nav_msgs/msg/Odometry"
FRAMES = ("map", "odom")
"""Fixed frames that are looked for, best first."""
LONGEST_GAP_NS = 1_500_000_000
"""Between two poses farther apart than this, nobody knows how the vehicle moved."""
BEYOND_NS = 100_000_000
"""So long before the first and after the last pose, that one is taken."""


class NoPoseError(ValueError):
    """No pose is known at a time."""


@dataclass
class _Edge:
    """The transform from a frame to its parent, at several times or always."""

    parent: str
    fixed: NDArray[np.float64] | None = None
    stamps_ns: list[int] = field(default_factory=list)
    poses: list[NDArray[np.float64]] = field(default_factory=list)

    def at(self, stamp_ns: int) -> NDArray[np.float64]:
        if self.fixed is not None:
            return self.fixed
        after = bisect_right(self.stamps_ns, stamp_ns)
        if after == 0 or after == len(self.stamps_ns):
            nearest = self.stamps_ns[0 if after == 0 else -1]
            if abs(nearest - stamp_ns) > BEYOND_NS:
                raise NoPoseError(f"{(stamp_ns - nearest) / 1e9:+.2f} s from the nearest pose")
            return self.poses[0 if after == 0 else -1]
        before_ns, after_ns = self.stamps_ns[after - 1], self.stamps_ns[after]
        if stamp_ns != before_ns and after_ns - before_ns > LONGEST_GAP_NS:
            raise NoPoseError(f"poses {(after_ns - before_ns) / 1e9:.1f} s apart")
        share = (stamp_ns - before_ns) / (after_ns - before_ns)
        return between(self.poses[after - 1], self.poses[after], share)


class EgoPoses:
    """`frame_from_base` at any time. `frame` is the fixed frame, `source` says what the poses were taken from."""

    def __init__(self, frame: str, source: str, edges: Sequence[_Edge]) -> None:
        self.frame, self.source, self._edges = frame, source, edges

    def at(self, stamp_ns: int) -> NDArray[np.float64]:
        """4x4 `frame_from_base`. Raises NoPoseError where the poses around are missing."""
        pose = np.eye(4)
        for edge in self._edges:
            pose = edge.at(stamp_ns) @ pose
        return pose


def read_poses(bag: BagReader, frame: str = "", base_frame: str = BASE_FRAME, odometry: str = "") -> EgoPoses:
    """The poses of a bag in the fixed frame `frame`: by default map, else odom, else that of its Odometry.

    `odometry` names a topic to take in their place. Raises FileFault where the bag has no such poses; it says which
    frames there are.
    """
    messages = PlainMessages()
    topics = [topic for topic in bag.topics if topic.count and topic.encoding == "cdr"]
    if odometry:
        wanted = [t for t in topics if t.name.lstrip("/") == odometry.lstrip("/") and t.msg_type == ODOMETRY]
        if not wanted:
            raise FileFault(f"{bag.path} holds no {ODOMETRY} on {odometry}; name another topic, or leave it to /tf")
        return _from_odometry(bag, messages, wanted[0].name, frame, base_frame)
    edges: dict[str, _Edge] = {}
    for message in bag.messages([topic for topic in topics if topic.msg_type == TF_MESSAGE]):
        transforms = _read(messages, message.data, TF_MESSAGE)
        _learn(edges, () if transforms is None else transforms.transforms, message.topic.name.endswith("tf_static"))
    chain, names = _chain(edges, base_frame)
    for wanted_frame in (frame,) if frame else FRAMES:
        if wanted_frame in names:
            return EgoPoses(wanted_frame, "/tf", _sorted(chain[: names.index(wanted_frame) + 1]))
    found = [topic.name for topic in topics if topic.msg_type == ODOMETRY]
    if found:
        return _from_odometry(bag, messages, found[0], frame, base_frame)
    there = f"{base_frame} hangs on {' <- '.join(names[::-1])}" if names else f"nothing names the frame {base_frame}"
    raise FileFault(
        f"{bag.path} says nowhere how the vehicle moved in {frame or 'map or odom'}: in its transforms {there}, and it "
        "has no Odometry; name the frames with --frame and --base-frame, or record /tf too"
    )


def _from_odometry(
    bag: BagReader, messages: PlainMessages, name: str, frame: str, base_frame: str
) -> EgoPoses:
    edge = _Edge("")
    for message in bag.messages([t for t in bag.topics if t.name == name and t.msg_type == ODOMETRY]):
        one = _read(messages, message.data, ODOMETRY)
        if one is None:
            continue
        if one.child_frame_id.lstrip("/") not in ("", base_frame):
            raise FileFault(
                f"{name} in {bag.path} tells how {one.child_frame_id!r} moved, not {base_frame!r}; name it with "
                "--base-frame if the cameras' transforms lead there"
            )
        edge.parent = one.header.frame_id.lstrip("/")
        _add(edge, one.header.stamp, one.pose.pose.position, one.pose.pose.orientation)
    if not edge.poses:
        raise FileFault(f"{name} in {bag.path} holds no usable pose; record it again, or take poses from /tf")
    if frame and edge.parent != frame:
        raise FileFault(f"{name} in {bag.path} is in the frame {edge.parent!r}, not {frame!r}")
    return EgoPoses(edge.parent or "odom", name, _sorted([edge]))


def _learn(edges: dict[str, _Edge], transforms: Iterable[Any], fixed: bool) -> None:
    for stamped in transforms:
        parent, child = stamped.header.frame_id.lstrip("/"), stamped.child_frame_id.lstrip("/")
        if not parent or not child or parent == child:
            continue
        edge = edges.setdefault(child, _Edge(parent))
        if edge.parent != parent:  # another parent: the last one holds, as in tf
            edge = edges[child] = _Edge(parent)
        t, r = stamped.transform.translation, stamped.transform.rotation
        if fixed:
            pose = _pose(t, r)
            edge.fixed = edge.fixed if pose is None else pose
        else:
            _add(edge, stamped.header.stamp, t, r)


def _add(edge: _Edge, stamp: Any, t: Any, r: Any) -> None:
    pose = _pose(t, r)
    if pose is not None:
        edge.stamps_ns.append(stamp.sec * 1_000_000_000 + stamp.nanosec)
        edge.poses.append(pose)


def _pose(t: Any, r: Any) -> NDArray[np.float64] | None:
    try:
        pose = transform((t.x, t.y, t.z), (r.w, r.x, r.y, r.z))
    except ValueError:
        return None
    return pose if np.isfinite(pose).all() else None


def _chain(edges: dict[str, _Edge], base_frame: str) -> tuple[list[_Edge], list[str]]:
    """The edges from a frame up to the root, and the frames to which they lead."""
    chain, names, at = [], [], base_frame
    while at in edges and edges[at].parent not in names and (edges[at].poses or edges[at].fixed is not None):
        chain.append(edges[at])
        at = edges[at].parent
        names.append(at)
    return chain, names


def _sorted(chain: Sequence[_Edge]) -> list[_Edge]:
    """The same in order of time, one pose a stamp."""
    result = []
    for edge in chain:
        by_stamp = dict(zip(edge.stamps_ns, edge.poses, strict=True))
        stamps = sorted(by_stamp)
        result.append(_Edge(edge.parent, edge.fixed, stamps, [by_stamp[stamp] for stamp in stamps]))
    return result


def between(first: NDArray[np.float64], second: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """The pose (4, 4) at a share of the way from one to another: straight on, turning evenly."""
    from scipy.spatial.transform import Rotation, Slerp

    pose = np.eye(4)
    pose[:3, 3] = first[:3, 3] + share * (second[:3, 3] - first[:3, 3])
    turns = Rotation.from_matrix(np.stack([first[:3, :3], second[:3, :3]]))
    pose[:3, :3] = Slerp([0.0, 1.0], turns)(share).as_matrix()
    return pose


def _read(messages: PlainMessages, data: bytes, kind: str) -> Any:
    try:
        return messages.types.deserialize_cdr(data, kind)
    except Exception:  # of struct, numpy, unicode: whatever bytes that are none make it run into
        return None
