"""Puts images of several cameras that belong to one moment into a set, and says why when it cannot.

Stamps are integers in nanoseconds. No ROS inside: an image is any object. (ROS 2's message_filters is in no
wheel, and does not say which camera a set waits for.)
"""
from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from mapkd_core.cameras.camera_track import CameraTrack, spread_ns, tightest

Image = TypeVar("Image")

WINDOW_NS = 60_000_000
"""nuScenes' cameras fire one after the other over 43 ms every 83 ms; 60 ms holds one round and never parts of two."""
DEPTH = 4
JUMP_NS = 1_000_000_000
LATE_IN_A_ROW = 3
"""So many late images of one camera are no disorder of transport any more: its stamps went back."""


@dataclass(frozen=True)
class CameraSet(Generic[Image]):
    """One image of every camera that was expected, all within the window."""

    stamp_ns: int
    """The anchor camera's stamp."""
    cameras: tuple[str, ...]
    """Names, in the order of the synchronizer's cameras."""
    stamps_ns: tuple[int, ...]
    """Every camera's stamp, in the order of `cameras`."""
    images: tuple[Image, ...]
    """In the same order."""

    @property
    def spread_ns(self) -> int:
        """Newest minus oldest stamp."""
        return max(self.stamps_ns) - min(self.stamps_ns)


class Synchronizer(Generic[Image]):
    """Forms the newest complete set around each image of the anchor camera, in constant time and memory.

    A set is one image per camera with newest minus oldest stamp <= `window_ns`; of several possible ones the
    tightest is taken, so that a round of cameras firing one after the other stays together whichever is the anchor.
    It fires with the image that completes it. It only waits longer when a camera's next image, foreseen from
    its period and not overdue, would make the set tighter by more than an eighth of the window. Anchors of
    successive sets never go back, except after a camera's stamps jump back (a looping bag, a simulator reset):
    that camera then starts anew by itself.

    `expect` changes which cameras a set is made of. Where the anchor is not among them, the first of them stands in.

    `not_formed` counts one reason for every anchor image that found no set; `last_reason` is the latest of them
    in full. `ignored` counts images that could not be used. Raises ValueError for cameras that make no sense.
    """

    def __init__(
        self,
        cameras: Sequence[str],
        anchor: str,
        window_ns: int = WINDOW_NS,
        depth: int = DEPTH,
        jump_ns: int = JUMP_NS,
    ) -> None:
        if anchor not in cameras:
            raise ValueError(f"anchor camera {anchor!r} is not one of the cameras {list(cameras)}")
        if len(set(cameras)) != len(cameras):
            raise ValueError(f"a camera is named twice in {list(cameras)}")
        if window_ns <= 0 or depth < 1:
            raise ValueError(f"window {window_ns} ns and depth {depth} must be positive")
        self.cameras = tuple(cameras)
        self.expected = self.cameras
        """Cameras that a set is made of."""
        self.anchor = anchor
        """The camera around whose images sets are formed now."""
        self._first_anchor = anchor
        self.window_ns = window_ns
        self.formed = 0
        self.not_formed: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()
        self.last_reason = ""
        self._depth = depth
        self._jump_ns = jump_ns
        self._tracks: dict[str, CameraTrack[Image]] = {camera: CameraTrack() for camera in cameras}
        self._last_fired: int | None = None
        self._last_used: int | None = None
        """Newest stamp of the last set."""
        self._unanchored: int | None = None

    def expect(self, cameras: Sequence[str]) -> None:
        """From now on sets are made of these cameras, in the order of all; images of others wait to be expected again.

        Raises KeyError for an unknown camera, ValueError for none.
        """
        if not cameras:
            raise ValueError("expected at least one camera for sets to be made of")
        unknown = [camera for camera in cameras if camera not in self._tracks]
        if unknown:
            raise KeyError(unknown[0])
        for camera in self.expected:
            if camera not in cameras:  # what it sent last is too old for the set in which it returns
                self._tracks[camera] = CameraTrack()
        self.expected = tuple(camera for camera in self.cameras if camera in cameras)
        anchor = self._first_anchor if self._first_anchor in self.expected else self.expected[0]
        if anchor != self.anchor:
            self.anchor, self._last_fired = anchor, self._last_used  # no second set of the same images

    @property
    def held(self) -> int:
        """Number of images in memory; at most depth * cameras."""
        return sum(len(track.stamps) for track in self._tracks.values())

    @property
    def pending(self) -> int:
        """Number of anchor images that still hope for a set."""
        return len(self._pending())

    def add(self, camera: str, stamp_ns: int, image: Image) -> CameraSet[Image] | None:
        """Takes one image and returns the set that it completes, or None. Raises KeyError for an unknown camera."""
        track = self._tracks[camera]
        if track.newest is not None and stamp_ns < track.newest - self._jump_ns:
            track = self._restart(camera)
        if stamp_ns in track.images or stamp_ns == track.newest:
            self.ignored[f"duplicate {camera}"] += 1
            return None
        if self._too_late(camera, stamp_ns):
            self.ignored[f"late {camera}"] += 1
            track.late_in_a_row += 1
            if track.late_in_a_row < LATE_IN_A_ROW:
                return None
            track = self._restart(camera)
        track.late_in_a_row = 0
        if track.newest is None or stamp_ns > track.newest:
            track.learn(stamp_ns)
        insort(track.stamps, stamp_ns)
        track.images[stamp_ns] = image
        track.heard = self._newest()
        if len(track.stamps) > self._depth:
            self._evict_oldest(camera)
        return self._fire()

    def finish(self) -> list[CameraSet[Image]]:
        """The sets that waited for a tighter one; why other anchor images find none is counted. For bags, which end."""
        found = []
        for stamp in self._pending():
            chosen = tightest(self._near(stamp), stamp)
            if chosen is None or spread_ns(chosen) > self.window_ns:
                self._miss(stamp)
            else:
                found.append(self._formed(stamp, chosen))
        return found

    def _too_late(self, camera: str, stamp: int) -> bool:
        track = self._tracks[camera]
        if len(track.stamps) == self._depth and stamp < track.stamps[0]:
            return True
        if self._last_fired is None or self._tracks[self.anchor].newest is None:
            return False
        return stamp <= self._last_fired if camera == self.anchor else self._useless(stamp)

    def _useless(self, stamp: int) -> bool:
        """No anchor newer than the last set's can reach back to this stamp. Only true of stamps of the same run."""
        assert self._last_fired is not None
        return self._last_fired - self._jump_ns <= stamp < self._last_fired - self.window_ns

    def _restart(self, camera: str) -> CameraTrack[Image]:
        """Forgets a camera whose stamps went back; the others follow by themselves when theirs do."""
        self.ignored[f"time jumped back {camera}"] += 1
        if camera == self.anchor:
            for stamp in self._pending():
                self._miss(stamp)
            self._last_fired = self._last_used = None
        self._tracks[camera] = CameraTrack()
        return self._tracks[camera]

    def _pending(self) -> list[int]:
        stamps = self._tracks[self.anchor].stamps
        return [s for s in stamps if self._last_fired is None or s > self._last_fired]

    def _evict_oldest(self, camera: str) -> None:
        track = self._tracks[camera]
        oldest = track.stamps[0]
        if camera == self.anchor:
            if self._last_fired is None or oldest > self._last_fired:
                self._miss(oldest)
        elif camera in self.expected:
            for stamp in self._pending():
                if track.near(stamp, self.window_ns) == [oldest]:  # its last hope goes
                    self._miss(stamp)
                    self._tracks[self.anchor].drop(stamp)
            if not self._tracks[self.anchor].near(oldest, self.window_ns):
                self._miss_anchor(oldest)
        track.drop(oldest)

    def _miss_anchor(self, stamp: int) -> None:
        """Counts a round of images without an anchor once, not once per camera."""
        newest = self._tracks[self.anchor].newest
        silent = newest is None or newest < stamp - self.window_ns
        if silent and (self._unanchored is None or abs(stamp - self._unanchored) > self.window_ns):
            self._unanchored = stamp
            behind = self._tracks[self.anchor].behind(stamp, self._newest())
            self._count(f"{'late' if behind else 'missing'} {self.anchor} (anchor)")

    def _near(self, stamp: int) -> list[list[int]]:
        """Each camera's stamps within the window of an anchor image."""
        return [
            [stamp] if camera == self.anchor else track.near(stamp, self.window_ns)
            for camera, track in self._used()
        ]

    def _used(self) -> list[tuple[str, CameraTrack[Image]]]:
        return [(camera, self._tracks[camera]) for camera in self.expected]

    def _newest(self) -> int:
        return max(track.newest for track in self._tracks.values() if track.newest is not None)

    def _fire(self) -> CameraSet[Image] | None:
        for stamp in reversed(self._pending()):
            near = self._near(stamp)
            chosen = tightest(near, stamp)
            if chosen is None or spread_ns(chosen) > self.window_ns or self._worth_waiting(near, stamp, chosen):
                continue
            for older in self._pending():
                if older < stamp:
                    self._miss(older)
            return self._formed(stamp, chosen)
        return None

    def _formed(self, stamp: int, chosen: Sequence[int]) -> CameraSet[Image]:
        images = tuple(track.images[s] for (_, track), s in zip(self._used(), chosen, strict=True))
        self.formed += 1
        self._last_fired, self._last_used = stamp, max(chosen)
        self._forget_useless()
        return CameraSet(stamp, self.expected, tuple(chosen), images)

    def _worth_waiting(self, near: list[list[int]], stamp: int, chosen: list[int]) -> bool:
        """True while a tighter set is about to come."""
        newest = self._newest()
        hoped = []
        for camera, stamps in zip(self.expected, near, strict=True):
            track = self._tracks[camera]
            coming = []
            if camera != self.anchor and track.newest is not None and track.period is not None:
                foreseen = track.newest + track.period
                if abs(foreseen - stamp) <= self.window_ns and newest <= foreseen + track.period // 2:
                    coming = [foreseen]
            hoped.append(stamps + coming)
        best = tightest(hoped, stamp)
        return best is not None and spread_ns(best) < spread_ns(chosen) - self.window_ns // 8

    def _forget_useless(self) -> None:
        for camera, track in self._tracks.items():
            for stamp in list(track.stamps):
                if self._useless(stamp) or (camera == self.anchor and stamp < self._last_fired):  # type: ignore[operator]
                    track.drop(stamp)

    def _miss(self, stamp: int) -> None:
        """Counts why the anchor image of this stamp found no set."""
        chosen = tightest(self._near(stamp), stamp)
        if chosen is not None and spread_ns(chosen) <= self.window_ns:
            self._count("overtaken by a newer set")
            return
        now = self._newest()
        lost = [c for c, track in self._used() if c != self.anchor and track.lost_one(stamp, now)]
        late = [camera for camera in lost if self._tracks[camera].behind(stamp, now)]
        missing = [camera for camera in lost if camera not in late]
        if missing:
            self._count("missing " + ", ".join(missing))
        elif late:
            worst_ms = max(now - (self._tracks[camera].newest or now) for camera in late) / 1e6
            self._count("late " + ", ".join(late), f"late {', '.join(late)} by {worst_ms:.0f} ms")
        elif chosen is not None:
            self._count("skew", f"skew {spread_ns(chosen) / 1e6:.0f} ms > {self.window_ns / 1e6:.0f} ms")
        else:
            away, camera = max(
                (min(abs(s - stamp) for s in track.stamps), camera) for camera, track in self._used()
            )
            self._count(f"skew {camera}", f"skew {camera} {away / 1e6:.0f} ms > {self.window_ns / 1e6:.0f} ms")

    def _count(self, kind: str, reason: str | None = None) -> None:
        self.not_formed[kind] += 1
        self.last_reason = reason or kind
