"""Which cameras send nothing usable while others do, so that maps can go on without them until they return."""
from __future__ import annotations

from collections.abc import Collection, Sequence
from statistics import median_low

SILENT_PERIODS = 3
"""A camera of a slow rig may pause for so many periods, whatever the time-out is."""


class CameraWatch:
    """Decides from the arrival of usable images which cameras a set waits for.

    A camera is silent when it has sent nothing for `timeout_s`, and for three of the rig's periods, though others
    have; it has returned with its second image in a row. Where nobody sends (a pause of a recording), nobody is silent.
    With fewer than `min_cameras` others, or where one of `required` is silent, sets wait for every camera. Times are
    nanoseconds of a clock that never goes back. Raises ValueError for settings that no set could meet.
    """

    def __init__(
        self, cameras: Sequence[str], timeout_s: float, min_cameras: int = 1, required: Collection[str] = ()
    ) -> None:
        unknown = [camera for camera in required if camera not in cameras]
        if unknown:
            raise ValueError(
                f"parameter required_cameras names {', '.join(unknown)}; expected some of {', '.join(cameras)}"
            )
        if min_cameras > len(cameras):
            raise ValueError(f"parameter min_cameras is {min_cameras}; expected at most the {len(cameras)} of the rig")
        self.cameras = tuple(cameras)
        self.expected = self.cameras
        """Cameras that a set waits for, in the order of all."""
        self._timeout_ns = round(timeout_s * 1e9)
        self._min, self._required = min_cameras, tuple(required)
        self._last_ns: dict[str, int] = {}
        self._period_ns: dict[str, int] = {}
        self._silent: set[str] = set()
        self._began_ns = 0
        """When images began to come, for the first time or again."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """Cameras that sets are made without."""
        return tuple(camera for camera in self.cameras if camera not in self.expected)

    @property
    def silent(self) -> tuple[str, ...]:
        """Cameras that send nothing usable while others do, whether sets are made without them or wait."""
        return tuple(camera for camera in self.cameras if camera in self._silent)

    @property
    def reason_to_wait(self) -> str:
        """Why sets wait for silent cameras; empty while they do not."""
        if not self._silent or self.left_out:
            return ""
        required = [camera for camera in self._required if camera in self._silent]
        if required:
            return f"{', '.join(required)}: named in required_cameras"
        return f"{len(self.cameras) - len(self._silent)} cameras send, min_cameras is {self._min}"

    def see(self, camera: str, now_ns: int) -> bool:
        """An image came. True if `expected` is another one now."""
        if self._timeout_ns == 0:
            return False
        limit_ns = self._limit_ns()
        if not self._last_ns or now_ns - max(self._last_ns.values()) > limit_ns:
            self._began_ns = now_ns
        before_ns = self._last_ns.get(camera)
        self._last_ns[camera] = now_ns
        if before_ns is not None:
            # Shrinks at once and grows slowly, as a lost image doubles an interval.
            known_ns = self._period_ns.get(camera, now_ns - before_ns)
            self._period_ns[camera] = min(now_ns - before_ns, known_ns * 5 // 4 + 1)
            if now_ns - before_ns <= limit_ns:
                self._silent.discard(camera)
        for other in self.cameras:
            if other != camera and now_ns - max(self._last_ns.get(other, 0), self._began_ns) > limit_ns:
                self._silent.add(other)
        before, self.expected = self.expected, self._expected()
        return self.expected != before

    def _limit_ns(self) -> int:
        """Silence that is none yet; the period is that of the rig, as one slow camera must not hold up the others."""
        periods = self._period_ns.values()
        return max(self._timeout_ns, SILENT_PERIODS * median_low(periods) if periods else 0)

    def _expected(self) -> tuple[str, ...]:
        sending = tuple(camera for camera in self.cameras if camera not in self._silent)
        if len(sending) < self._min or any(camera in self._silent for camera in self._required):
            return self.cameras
        return sending
