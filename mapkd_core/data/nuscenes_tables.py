"""The tables of a folder in nuScenes' format, read and checked without the devkit: those of which frames are made.

All of nuScenes has 2.6 million records of sensor data. Those of keyframes' cameras and of the LiDAR are kept, and of
the ego poses those that they name; the rest is dropped while the file is read.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mapkd_core.schema import (
    FileFault,
    Misfit,
    Schema,
    fit,
    flag,
    integer,
    list_of,
    number,
    numbers,
    optional,
    read_bytes,
    record,
    text,
)  # fmt: skip
from mapkd_core.types import CAMERAS

LIDAR = "LIDAR_TOP"
TABLES = ("calibrated_sensor", "ego_pose", "log", "sample", "sample_data", "scene", "sensor")
"""Tables that are read; the others of nuScenes (annotations, categories, base maps) need not be there."""
_REMEDY = "unpack the dataset's tables again"
_TOKEN, _LINK, _STAMP_US = text(empty=False), text(), integer(0, 2**62 // 1000)


def _rotation(value: Any) -> None:
    numbers(4, low=-2, high=2)(value)
    if not 0.5 < sum(v * v for v in value) < 2:
        raise Misfit("a unit quaternion w, x, y, z", value)


def _intrinsic(value: Any) -> None:
    if value != []:
        numbers(3, 3, low=-1e6, high=1e6)(value)
        if value[0][0] <= 0 or value[1][1] <= 0:
            raise Misfit("positive focal lengths, or an empty list", value)


_POSE = {"translation": numbers(3), "rotation": _rotation}
SCHEMAS: Mapping[str, Schema] = {
    "scene": record({
        "token": _TOKEN, "log_token": _LINK, "name": _TOKEN, "description": text(), "first_sample_token": _TOKEN,
    }),
    "log": record({"token": _TOKEN, "location": text()}),
    "sample": record({"token": _TOKEN, "timestamp": _STAMP_US, "next": _LINK, "scene_token": _TOKEN}),
    "sensor": record({"token": _TOKEN, "channel": _TOKEN}),
    "calibrated_sensor": record(
        {"token": _TOKEN, "sensor_token": _TOKEN, "camera_intrinsic": _intrinsic, **_POSE}
    ),
    "sample_data": record(
        {"token": _TOKEN, "sample_token": _TOKEN, "ego_pose_token": _TOKEN, "calibrated_sensor_token": _TOKEN,
         "timestamp": _STAMP_US, "is_key_frame": flag, "filename": _TOKEN, "prev": _LINK},
        {"width": optional(number(0, 65_535)), "height": optional(number(0, 65_535))},
    ),
    "ego_pose": record({"token": _TOKEN, "timestamp": _STAMP_US, **_POSE}),
}  # fmt: skip


class NuScenesTables:
    """Records by table and token; `data[sample]` maps a channel to the record of a keyframe's data.

    Raises FileNotFoundError for a table that is not there, FileFault for one that cannot be.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._rows: dict[str, dict[str, dict[str, Any]]] = {}
        for name in ("scene", "log", "sample", "sensor", "calibrated_sensor"):
            self._rows[name] = self._read(name)
        wanted = {
            token: channel
            for token, row in self._rows["calibrated_sensor"].items()
            if (channel := self.get("sensor", row["sensor_token"], "calibrated_sensor")["channel"]) in (*CAMERAS, LIDAR)
        }

        def kept(row: dict[str, Any]) -> bool:
            channel = wanted.get(row["calibrated_sensor_token"])
            return channel == LIDAR or (channel is not None and row["is_key_frame"] is True)

        self._rows["sample_data"] = self._read("sample_data", "calibrated_sensor_token", kept)
        poses = {row["ego_pose_token"] for row in self._rows["sample_data"].values()}
        stamps = {row["timestamp"] for row in self._rows["sample"].values()}
        self._rows["ego_pose"] = self._read(
            "ego_pose", "translation", lambda row: row["token"] in poses or row["timestamp"] in stamps
        )
        # `next` is not needed: what follows a sweep is the one whose `prev` it is.
        self._followers = {row["prev"]: row["token"] for row in self._rows["sample_data"].values() if row["prev"]}
        self.data: dict[str, dict[str, dict[str, Any]]] = {token: {} for token in self._rows["sample"]}
        for row in self._rows["sample_data"].values():
            if row["is_key_frame"]:
                self.get("sample", row["sample_token"], "sample_data")
                channel, readings = wanted[row["calibrated_sensor_token"]], self.data[row["sample_token"]]
                if channel in readings:
                    raise FileFault(
                        f"{folder / 'sample_data.json'}: keyframe {row['sample_token']!r} has two readings of "
                        f"{channel}, {readings[channel]['token']!r} and {row['token']!r}; {_REMEDY}"
                    )
                readings[channel] = row

    def get(self, table: str, token: str, named_in: str) -> dict[str, Any]:
        """A record; raises FileFault where the table that names it names none."""
        try:
            return self._rows[table][token]
        except KeyError:
            raise FileFault(
                f"{self.folder / named_in}.json names the {table} {token!r}, which {table}.json does not hold; the "
                f"tables do not belong together: {_REMEDY}"
            ) from None

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All records that were kept, in the file's order."""
        return list(self._rows[table].values())

    def samples_of(self, scene: dict[str, Any]) -> list[dict[str, Any]]:
        """A scene's keyframes, one after the other. Raises FileFault where they run in a circle."""
        samples: dict[str, dict[str, Any]] = {}
        token, named_in = scene["first_sample_token"], "scene"
        while token:
            sample = self.get("sample", token, named_in)
            if token in samples or sample["scene_token"] != scene["token"]:
                what = "comes a second time" if token in samples else f"belongs to scene {sample['scene_token']!r}"
                raise FileFault(
                    f"{self.folder / 'sample.json'}: keyframe {token!r} of {scene['name']} {what}: `next` leads in a "
                    f"circle or astray; {_REMEDY}"
                )
            samples[token] = sample
            token, named_in = sample["next"], "sample"
        return list(samples.values())

    def sweeps_around(self, record: dict[str, Any], places: Sequence[int]) -> list[dict[str, Any]]:
        """A LiDAR's sweeps so many turns before (negative) or after this one, as far as the scene reaches.

        Raises FileFault where `prev` leads to another sensor or to one that is not older.
        """
        turns = {0: record}
        for sign, farthest in ((-1, min(places, default=0)), (1, max(places, default=0))):
            for turn in range(sign, farthest + sign, sign):
                near = turns[turn - sign]
                token = near["prev"] if sign < 0 else self._followers.get(near["token"], "")
                if not token:
                    break
                turns[turn] = far = self.get("sample_data", token, "sample_data")
                self._check_order(*((far, near) if sign < 0 else (near, far)))
        return [turns[place] for place in places if place in turns]

    def _check_order(self, older: dict[str, Any], newer: dict[str, Any]) -> None:
        """Raises FileFault unless both are of one sensor and one comes after the other."""
        sensors = [
            self.get("calibrated_sensor", row["calibrated_sensor_token"], "sample_data")["sensor_token"]
            for row in (newer, older)
        ]
        if older["timestamp"] >= newer["timestamp"] or sensors[0] != sensors[1]:
            raise FileFault(
                f"{self.folder / 'sample_data.json'}: `prev` of {newer['token']!r} is {older['token']!r}; expected "
                f"an older sweep of the same sensor: {_REMEDY}"
            )

    def _read(
        self, name: str, mark: str = "", keep: Callable[[dict[str, Any]], bool] | None = None
    ) -> dict[str, dict[str, Any]]:
        """Records by token. Of a table with `keep`, objects with the key `mark` for which it is false are dropped."""
        path = self.folder / f"{name}.json"
        what = f"nuScenes' table {name}"
        schema = SCHEMAS[name]
        place = 0

        def checked(row: dict[str, Any]) -> dict[str, Any] | None:
            nonlocal place
            if mark not in row:
                return row  # an object inside a record
            try:
                schema(row)
            except Misfit as misfit:
                raise misfit.at(place) from None
            place += 1
            return row if keep is None or keep(row) else None

        try:
            rows = json.loads(read_bytes(path, what).decode("utf-8-sig"), object_hook=checked if keep else None)
        except Misfit as misfit:
            raise FileFault(f"{path} is not {what}: {misfit.text()}; {_REMEDY}") from None
        except (ValueError, RecursionError) as error:
            raise FileFault(f"{path} is not {what}: not JSON ({error}); {_REMEDY}") from error
        if keep is not None and isinstance(rows, list):
            rows = [row for row in rows if row is not None]
        fit(rows, list_of(schema), str(path), what, _REMEDY)
        by_token = {row["token"]: row for row in rows}
        if len(by_token) < len(rows):
            seen: set[str] = set()
            twice = next(row["token"] for row in rows if row["token"] in seen or seen.add(row["token"]))  # type: ignore
            raise FileFault(f"{path} is not {what}: it holds the token {twice!r} twice; {_REMEDY}")
        return by_token
