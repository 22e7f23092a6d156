"""ROS 2 glue around mapkd_core: nodes, message conversions, synchronizer."""
from pkgutil import extend_path

# A source checkout lies beside the installed package that holds the generated messages: see both.
__path__ = extend_path(__path__, __name__)
