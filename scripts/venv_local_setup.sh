# The ROS 2 wheels make this virtual environment an ament prefix; ROS 2 tools find it through this variable.
_mapkd_venv="@VENV@"
case ":${AMENT_PREFIX_PATH:-}:" in
    *":$_mapkd_venv:"*) ;;
    *) export AMENT_PREFIX_PATH="$_mapkd_venv${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}" ;;
esac
case ":$PATH:" in
    *":$_mapkd_venv/bin:"*) ;;
    *) export PATH="$_mapkd_venv/bin:$PATH" ;;
esac
unset _mapkd_venv
