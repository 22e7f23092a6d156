"""The table of map_builder's parameters."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mapkd_core.mapping.options import MappingOptions
from mapkd_ros.parameters import Parameter

_OPTIONS = MappingOptions()

PARAMETERS = (
    Parameter("fixed_frame", "auto", "frame of the map; auto takes map, or odom where the transforms have no map",
              frame=True),
    Parameter("base_frame", "base_link", "vehicle frame, that of the VectorMaps", frame=True),
    Parameter("map_file", "", "FILE.streetmap or .osm: the map is saved there when the node is deactivated or ends; a "
              "file of other software stays, and the map goes beside it, to NAME.built/NAME.osm or NAME.built.EXT"),
    Parameter("save_period", 60.0, "seconds between saves of a changed map while driving: to map_file if it is a "
              ".streetmap, else to NAME.periodic.streetmap beside it until the end; 0 for none", range=(0, 86400)),
    Parameter("load", "", "go on with this map; may be map_file"),
    Parameter("anchor", "", "hold the drive to these roads of a navigation map (.geojson, .shp), to some metres; map "
              "and markers are then in the frame street_map, sent on /tf below the poses' frame"),
    Parameter("anchor_origin", "", "LAT,LON[,ALT]: where on Earth (0, 0) of the poses lies, if neither load nor the "
              "file of roads says"),
    Parameter("start", "", "X,Y,DEG: where odometry begins, in metres from there (if empty: 0,0,0)"),
    Parameter("publish_rate", 2.0, "how often local map and markers are published [Hz]", range=(0.1, 50)),
    Parameter("local_range", 80.0, "half the edge of the square about the vehicle that ~/local_map holds [m]",
              range=(40, 500)),
    Parameter("occupancy_grid", False, "offer ~/occupancy_grid, the drivable side of the map (needs nav_msgs)"),
    Parameter("align", _OPTIONS.align,
              "fit sets to the map where the vehicle comes by again, and after a jump of its pose"),
    Parameter("align_distance", _OPTIONS.align_m, "at most so far [m]", range=(0, 20)),
    Parameter("least_sightings", _OPTIONS.least_sightings, "a line is in the map where so many sets show it",
              range=(1, 1000)),
    Parameter("least_share", _OPTIONS.least_share, "and where this share of the weighted sightings is for it",
              range=(0, 1)),
    Parameter("diagnostics_period", 1.0, "seconds between messages on /diagnostics; 0 for none", range=(0, 60)),
    Parameter("autostart", True, "configure and activate itself at start; false leaves that to a lifecycle manager"),
)  # fmt: skip


def options_of(values: Mapping[str, Any]) -> MappingOptions:
    """What the parameters say of mapping."""
    return MappingOptions(
        align=values["align"], align_m=values["align_distance"], least_sightings=values["least_sightings"],
        least_share=values["least_share"],
    )  # fmt: skip
