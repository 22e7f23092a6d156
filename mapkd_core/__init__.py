"""Vector HD maps from six cameras: data, simulator, networks, distillation, deployment. Knows no ROS."""

__version__ = "0.1.0"
