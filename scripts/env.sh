# Source me (bash or zsh): the project's virtual environment, ROS 2 and the built package, in this shell.
#   . scripts/env.sh
# A ROS 2 installation that is already sourced is kept; otherwise the ROS 2 wheels in .venv take its place.
case $- in  # the files that colcon writes read unset variables, which `set -u` in the caller's script would refuse
    *u*) _mapkd_nounset=1; set +u ;;
    *) _mapkd_nounset= ;;
esac
_mapkd_root="$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)"
if [ -f "$_mapkd_root/.venv/bin/activate" ]; then
    . "$_mapkd_root/.venv/bin/activate"
    if [ -f "$VIRTUAL_ENV/local_setup.sh" ]; then
        . "$VIRTUAL_ENV/local_setup.sh"
    fi
else
    echo "env.sh: there is no $_mapkd_root/.venv yet; run: make setup" >&2
fi
if [ -f "$_mapkd_root/install/local_setup.sh" ]; then
    if [ -n "${ZSH_VERSION:-}" ]; then
        . "$_mapkd_root/install/local_setup.zsh"
    else
        . "$_mapkd_root/install/local_setup.bash"
    fi
fi
if [ -n "$_mapkd_nounset" ]; then
    set -u
fi
unset _mapkd_root _mapkd_nounset
