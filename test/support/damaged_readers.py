"""Every reader of files from outside, by topic; messages' images, which are `images`, and video are not among them."""
from __future__ import annotations

import damaged_datasets
import damaged_maps
import damaged_runs
import damaged_vehicles

READERS = (*damaged_maps.READERS, *damaged_datasets.READERS, *damaged_runs.READERS, *damaged_vehicles.READERS)
