"""Frame sources by name, as configuration files and commands give them."""
from __future__ import annotations

from mapkd_core.data.dataset import FrameSource

FORMS = "`simdrive-v1:SPLIT[:DRIVES]` or `nuscenes:DATAROOT:VERSION[:SPLIT]`"


def open_source(
    name: str, image_size: tuple[int, int] = (352, 128), lidar: bool = False, mapped: bool = True
) -> FrameSource:
    """The frames that `name` means; `image_size` decides at which of its two sizes a simulated drive is rendered.

    With `mapped`, frames without a road map are left out, since they can neither be learnt from nor scored.
    Raises ValueError for a name of another form, and what the source raises.
    """
    kind, _, rest = name.partition(":")
    if kind == "simdrive-v1" and rest:
        from mapkd_core.sim.simdrive import simdrive

        split, _, drives = rest.partition(":")
        size = "small" if image_size[0] <= 176 else "full"
        return simdrive(split, size, lidar=lidar, lidar_sweeps=3, drives=int(drives) if drives else None)
    if kind == "nuscenes" and rest.count(":") in (1, 2):
        from mapkd_core.data.nuscenes import NuScenesSource

        dataroot, version, *splits = rest.split(":")
        source = NuScenesSource(dataroot, version, splits[0] if splits else None, lidar_sweeps=3 if lidar else 0)
        return source.mapped() if mapped else source
    raise ValueError(f"frames {name!r} are not understood; expected {FORMS}")
