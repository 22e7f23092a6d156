"""Where work runs that comes in many equal units: processes of this machine, or a Ray cluster."""
from mapkd_core.engine.choice import LOCAL, EngineOptions, open_engine
from mapkd_core.engine.interface import Engine, EngineFault, UnitNeeds

__all__ = ["LOCAL", "Engine", "EngineFault", "EngineOptions", "UnitNeeds", "open_engine"]
