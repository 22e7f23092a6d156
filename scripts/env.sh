# Source me (bash or zsh): the project's virtual environment, ROS 2 and the built package, in this shell.
#   . scripts/env.sh               a ROS 2 installation that is already sourced is kept; else the ROS 2 wheels in .venv
#   ROS=jazzy; . scripts/env.sh    the ROS 2 wheels of another distribution, made by: make setup ROS=jazzy
case $- in  # the files that colcon writes read unset variables, which `set -u` in the caller's script would refuse
    *u*) _mapkd_nounset=1; set +u ;;
    *) _mapkd_nounset= ;;
esac
_mapkd_root="$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)"
# What an earlier call for another distribution has left in this shell goes.
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
for _mapkd_name in PATH PYTHONPATH LD_LIBRARY_PATH PKG_CONFIG_PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH; do
    eval "_mapkd_old=\"\${$_mapkd_name:-}\""
    case ":$_mapkd_old" in
        *":$_mapkd_root/"*)
            _mapkd_new="$(printf '%s' "$_mapkd_old" | tr ':' '\n' | { grep -v -F "$_mapkd_root/" || true; } | paste -s -d : -)"
            if [ -n "$_mapkd_new" ]; then eval "export $_mapkd_name=\"\$_mapkd_new\""; else unset "$_mapkd_name"; fi
            ;;
    esac
done
case "${ROS:-}" in
    "" | kilted) _mapkd_venv="$_mapkd_root/.venv" _mapkd_install="$_mapkd_root/install" ;;
    *) _mapkd_venv="$_mapkd_root/.venv-$ROS" _mapkd_install="$_mapkd_root/.cache/$ROS/install" ;;
esac
if [ -f "$_mapkd_venv/bin/activate" ]; then
    . "$_mapkd_venv/bin/activate"
    if [ -f "$VIRTUAL_ENV/local_setup.sh" ]; then
        . "$VIRTUAL_ENV/local_setup.sh"
    fi
else
    echo "env.sh: there is no $_mapkd_venv yet; run: make setup${ROS:+ ROS=$ROS}" >&2
fi
if [ -f "$_mapkd_install/local_setup.sh" ]; then
    if [ -n "${ZSH_VERSION:-}" ]; then
        . "$_mapkd_install/local_setup.zsh"
    else
        . "$_mapkd_install/local_setup.bash"
    fi
fi
if [ -n "$_mapkd_nounset" ]; then
    set -u
fi
unset _mapkd_root _mapkd_nounset _mapkd_name _mapkd_old _mapkd_new _mapkd_venv _mapkd_install
