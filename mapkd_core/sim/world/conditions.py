"""Light, weather and camera quality of a simulated drive."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WEATHERS: tuple[str, ...] = ("clear", "overcast", "wet", "night")
PALETTES: tuple[str, ...] = ("brick", "concrete", "tropical")


@dataclass(frozen=True)
class Conditions:
    """Everything about a drive that is not geometry. Raises ValueError for an unknown weather or palette."""

    weather: str = "clear"
    """One of WEATHERS; `wet` is an overcast day on a wet road."""
    sun_azimuth: float = 0.8
    """Direction towards the sun in the map frame, radians from x towards y."""
    sun_elevation: float = 0.9
    """Radians above the horizon."""
    exposure: float = 1.0
    """Brightness factor of the finished image."""
    visibility_m: float = 900.0
    """Distance at which haze hides 63 % of a surface."""
    saturation: float = 0.75
    """Strength of colours; 0 is gray."""
    noise: float = 0.012
    """Standard deviation of sensor noise at mid gray, as a share of white."""
    vignetting: float = 0.2
    """Share of light lost in the image's corners."""
    motion_blur_s: float = 0.0
    """Exposure time; 0 gives a sharp image."""
    paint_wear: float = 0.25
    """0 is fresh paint everywhere, 1 nearly gone."""
    palette: str = "concrete"
    """Style of buildings, curbs and plants, one of PALETTES."""
    slope: float = 0.0
    """Steepest slope of the terrain (rise over run); 0 is flat."""

    def __post_init__(self) -> None:
        for name, known in (("weather", WEATHERS), ("palette", PALETTES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} {getattr(self, name)!r} is not one of {known}")
        if not 0 < self.sun_elevation <= np.pi / 2:
            raise ValueError(f"sun_elevation {self.sun_elevation} is not in (0, pi/2] radians")
        if not 0 <= self.slope <= 0.12:
            raise ValueError(f"slope {self.slope} is not in 0..0.12; roads are not steeper in this world")

    @property
    def sun_direction(self) -> tuple[float, float, float]:
        """Unit vector towards the sun in the map frame."""
        c = np.cos(self.sun_elevation)
        return (
            float(c * np.cos(self.sun_azimuth)),
            float(c * np.sin(self.sun_azimuth)),
            float(np.sin(self.sun_elevation)),
        )

    @property
    def casts_shadows(self) -> bool:
        """Whether the sun is out."""
        return self.weather == "clear"

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Conditions:
        """Random conditions: about half clear days, and some of each other weather."""
        weather = str(rng.choice(WEATHERS, p=(0.5, 0.28, 0.1, 0.12)))
        night = weather == "night"
        return cls(
            weather=weather,
            sun_azimuth=float(rng.uniform(-np.pi, np.pi)),
            sun_elevation=float(np.radians(rng.uniform(18, 75))),
            exposure=float(np.exp(rng.normal(0, 0.12))),
            visibility_m=float(rng.uniform(250, 1500) * (0.5 if weather == "wet" else 1.0)),
            saturation=float(rng.uniform(0.45, 0.95)),
            noise=float(rng.uniform(0.02, 0.045) if night else rng.uniform(0.004, 0.016)),
            vignetting=float(rng.uniform(0.05, 0.3)),
            motion_blur_s=float(rng.uniform(0.008, 0.02) if night else rng.choice((0.0, 0.004))),
            paint_wear=float(rng.beta(1.6, 3.0)),
            palette=str(rng.choice(PALETTES)),
            slope=float(rng.choice((0.0, rng.uniform(0.005, 0.045)), p=(0.4, 0.6))),
        )
