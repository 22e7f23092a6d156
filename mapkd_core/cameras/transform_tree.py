"""Where cameras sit: transforms between frames, composed into one.

ROS 2's tf2 is in no wheel, and bags are read without ROS.
"""
from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.calibration import CalibrationError
from mapkd_core.cameras.messages import TransformStamped
from mapkd_core.geometry import inverse, transform


class TransformTree:
    """The newest transform between any two connected frames, from `/tf_static` and `/tf`.

    Made for how sensors are mounted: a moving joint in the chain is taken at its newest value, not at a stamp.
    """

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, NDArray[np.float64]]] = {}
        self._named_parents: dict[str, list[str]] = {}
        self._faults: dict[str, str] = {}
        """Frame -> what is wrong with the newest transform that gave its place, where that cannot be used."""
        self._turned: dict[tuple[str, str], frozenset[str]] = {}
        """Pairs of frames of which each was said to hang on the other -> all frames of that circle."""

    def update(self, transforms: Iterable[TransformStamped]) -> None:
        """Takes the transforms of one message. Raises CalibrationError, after taking the good ones, for a bad one."""
        faults = []
        for stamped in transforms:
            parent, child = _plain(stamped.header.frame_id), _plain(stamped.child_frame_id)
            t, r = stamped.transform.translation, stamped.transform.rotation
            try:
                if not parent or not child or parent == child:
                    raise ValueError("expected two different frame names")
                parent_from_child = transform((t.x, t.y, t.z), (r.w, r.x, r.y, r.z))
                if not np.isfinite(parent_from_child).all():
                    raise ValueError(f"translation {[t.x, t.y, t.z]} is not finite")
            except ValueError as error:
                faults.append(f"transform {parent!r} <- {child!r}: {error}")
                self._faults[child] = str(error)
                continue
            self._faults.pop(child, None)
            self._open_loop(child, parent)
            self._parents[child] = (parent, parent_from_child)
            named = self._named_parents.setdefault(child, [])
            if parent not in named:
                named.append(parent)
        if faults:
            raise CalibrationError("; ".join(faults))

    def contradiction(self, target: str, source: str) -> str:
        """What several publishers say of the frames from `source` up to `target` that cannot all be; empty for nothing.

        The newest holds.
        """
        above = self._ancestors(_plain(source))
        for frame in above:
            if frame == _plain(target):
                break
            parents = self._named_parents.get(frame, [])
            if len(parents) > 1:
                return (
                    f"frame {frame!r} has {len(parents)} parents, {', '.join(parents)}: two publishers of TF "
                    "contradict each other, and the newest wins; a frame may have one parent only"
                )
        related = {*above, *self._ancestors(_plain(target))}
        for (frame, other), circle in self._turned.items():
            if len(circle & related) > 1:
                return (
                    f"frames {frame!r} and {other!r} are each said to hang on the other: one transform is published "
                    "the wrong way round, and the newest wins; end its publisher"
                )
        return ""

    def lookup(self, target: str, source: str) -> NDArray[np.float64]:
        """4x4 `target_from_source`. Raises CalibrationError that names the frame at which the chain breaks."""
        target, source = _plain(target), _plain(source)
        if not source:
            raise CalibrationError("the image has no frame_id; the camera driver must name its optical frame")
        up_from_source = self._ancestors(source)
        up_from_target = self._ancestors(target)
        for frame, frame_from_source in up_from_source.items():
            if frame in up_from_target:
                return inverse(up_from_target[frame]) @ frame_from_source
        why = self._why_apart(target, source, list(up_from_source), list(up_from_target))
        raise CalibrationError(f"no transform {target} <- {source}: {why}")

    def _open_loop(self, child: str, parent: str) -> None:
        """Forgets the transform by which `parent` hangs on `child`: with the new one, the chain would have no end."""
        at, circle = parent, {child, parent}
        while at in self._parents and (above := self._parents[at][0]) != child:
            circle.add(above)
            at = above
        if at in self._parents:
            del self._parents[at]
            self._turned[min(at, child), max(at, child)] = frozenset(circle)

    def _why_apart(self, target: str, source: str, above_source: list[str], above_target: list[str]) -> str:
        """Why no chain leads from `source` to `target`, of which the frames from each up to its root are given."""
        known = {frame for child, parents in self._named_parents.items() for frame in (child, *parents)}
        for root in (above_source[-1], above_target[-1]):
            if root in self._faults:
                return f"that of {root!r} cannot be used: {self._faults[root]}"
        if not known:
            return "nothing has come on /tf_static and /tf yet"
        if source not in known:
            return f"no message names the frame {source!r}"
        if target not in known:
            root = above_source[-1]
            return f"no message names the frame {target!r}; if {root!r} is the vehicle's, set base_frame to it"
        # Transforms that are published the wrong way round make the vehicle a child of every camera.
        torn = next((f for f in above_source + above_target if len(self._named_parents.get(f, ())) > 1), None)
        if torn is not None:
            parents = self._named_parents[torn]
            few = ", ".join(parents[:3]) + (f" and {len(parents) - 3} more" if len(parents) > 3 else "")
            return (
                f"the frame {torn!r} is given several parents ({few}), of which one alone can hold: is a transform "
                "published the wrong way round, or twice?"
            )
        roots = f"{source} hangs on {above_source[-1]!r}, {target} on {above_target[-1]!r}"
        return f"{roots}, and nothing connects the two"

    def _ancestors(self, frame: str) -> dict[str, NDArray[np.float64]]:
        """`ancestor_from_frame` of the frame itself, its parent, and so on to the root."""
        chain = {frame: np.eye(4)}
        at = frame
        while at in self._parents:
            parent, parent_from_child = self._parents[at]
            chain[parent] = parent_from_child @ chain[at]
            at = parent
        return chain


def _plain(frame: str) -> str:
    """Frame names of ROS 1 had a leading slash; some bags still have it."""
    return frame.lstrip("/")
