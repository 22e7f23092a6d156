#!/usr/bin/env bash
# Makes .venv: the pinned Python packages and, unless a ROS 2 installation is sourced, ROS 2 itself from wheels (kilted).
# ROS=jazzy makes .venv-jazzy as well: the wheels of that distribution on top of .venv's other packages.
# Does nothing where that has been done before. Called by `make setup`; PYTHON=... chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
venv="$PWD/.venv"
log="$PWD/.cache/setup.log"
mkdir -p .cache

fail() {
    printf 'setup: %s\n' "$1" >&2
    exit 1
}

# step "what" command...: one line of progress; the command's own words only when it fails
step() {
    local what="$1" began=$SECONDS
    shift
    printf '  %-48s' "$what"
    if "$@" >"$log" 2>&1; then
        printf '%4d s\n' $((SECONDS - began))
    else
        printf 'failed\n\n'
        tail -n 40 "$log" >&2
        fail "'$*' failed; the whole log is $log"
    fi
}

supported() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; }

# AMENT_PREFIX_PATH may also name our own wheels, from a shell that has sourced scripts/env.sh
if [ -n "${ROS_DISTRO:-}" ] && { [ -d "/opt/ros/${ROS_DISTRO}" ] || command -v ros2 >/dev/null; }; then
    ros="$ROS_DISTRO"
    candidates="${PYTHON:-/usr/bin/python3}"
else
    ros=""
    candidates="${PYTHON:-python3 python3.12 python3.11 python3.10}"
fi
python=""
for candidate in $candidates; do
    if supported "$candidate"; then
        python="$(command -v "$candidate")"
        break
    fi
done
[ -n "$python" ] || fail "no Python 3.10, 3.11 or 3.12 among: $candidates; install one or name it: make setup PYTHON=/path/to/python3.11"
if [ -n "$ros" ]; then
    "$python" -c 'import rclpy' 2>/dev/null || fail "ROS 2 $ros is sourced, but $python cannot import its rclpy; name ROS's own interpreter with PYTHON=..."
elif [ "$(uname -sm)" != "Linux x86_64" ]; then
    fail "the ROS 2 wheels exist only for Linux x86_64, this is $(uname -sm); install ROS 2 and source its setup.bash first"
fi

case "${ROS:-}" in
    "" | kilted) ;;
    jazzy) [ -z "$ros" ] || fail "ROS=$ROS chooses ROS 2 wheels, but ROS 2 $ros is sourced; leave ROS= out, or use another shell" ;;
    *) fail "ROS=$ROS; there are wheels of kilted (the default) and jazzy" ;;
esac

version="$("$python" -c 'import platform; print(platform.python_version())')"
base="Python $version, ROS ${ros:-wheels}, $PWD"
stamp="$base, $(cat requirements/*.txt scripts/setup.sh scripts/venv_local_setup.sh \
    scripts/build_underlay.sh test/underlay/*/CMakeLists.txt | sha256sum | cut -c1-16)"

# done_before FOLDER: it was made by this script as it is now
done_before() { [ -f "$1/.mapkd_setup" ] && [ "$(cat "$1/.mapkd_setup")" = "$stamp" ]; }

# make_ament_prefix FOLDER: what ROS 2 wheels in a virtual environment lack to be found and built upon
make_ament_prefix() {
    command -v cmake >/dev/null || [ -x "$venv/bin/cmake" ] || step "CMake" pip install cmake==3.31.6
    step "repairing the wheels' header paths" "$1/bin/python" scripts/fix_wheel_paths.py
    local shell
    for shell in sh bash zsh; do
        sed "s|@VENV@|$1|" scripts/venv_local_setup.sh > "$1/local_setup.$shell"
    done
    step "messages that have no wheel" env VIRTUAL_ENV="$1" AMENT_PREFIX_PATH="$1" CMAKE_PREFIX_PATH= \
        PATH="$1/bin:$venv/bin:$PATH" scripts/build_underlay.sh
}

# add_distribution NAME: .venv-NAME, an own folder for its ROS 2 wheels that sees the other packages of .venv
add_distribution() {
    local folder="$PWD/.venv-$1"
    if done_before "$folder"; then
        return
    fi
    echo "Setting up .venv-$1 (on top of .venv):"
    step "virtual environment" "$python" -m venv --without-pip --clear "$folder"
    touch "$folder/COLCON_IGNORE"
    step "ROS 2 wheels" pip --python "$folder/bin/python" install --no-deps -r "requirements/ros-wheels-$1.txt"
    # Behind its own packages, so that its ROS 2 hides the one in .venv
    "$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
        > "$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/shared_with_venv.pth"
    step "colcon, for its command" pip --python "$folder/bin/python" install --no-deps --ignore-installed \
        "$("$venv/bin/python" -m pip freeze | grep '^colcon-core==')"
    make_ament_prefix "$folder"
    step "this project, as the command mapkd" \
        pip --python "$folder/bin/python" install --no-deps --no-build-isolation --ignore-installed -e .
    echo "$stamp" > "$folder/.mapkd_setup"
}

pip() { "$venv/bin/python" -m pip "$@"; }
export PIP_DISABLE_PIP_VERSION_CHECK=1
make_venv() {
    if done_before "$venv"; then
        return
    fi
    echo "Setting up .venv ($base):"

    if [ -f "$venv/.mapkd_base" ] && [ "$(cat "$venv/.mapkd_base")" != "$base" ]; then
        step "another Python or place: starting anew" rm -rf "$venv"
    fi
    rm -f "$venv/.mapkd_setup"
    if [ ! -x "$venv/bin/python" ]; then
        step "virtual environment" "$python" -m venv ${ros:+--system-site-packages} --clear "$venv"
    fi
    echo "$base" > "$venv/.mapkd_base"
    touch "$venv/COLCON_IGNORE"
    step "PyTorch and the core's packages (largest)" pip install -r requirements/core.txt
    step "nuScenes devkit" pip install -r requirements/nuscenes.txt
    step "nuScenes devkit itself" pip install --no-deps -r requirements/nuscenes-devkit.txt
    step "tests, lint, documentation" pip install -r requirements/dev.txt -r requirements/docs.txt
    step "Ray and object storage" pip install -r requirements/cluster.txt
    if [ -z "$ros" ]; then
        command -v g++ >/dev/null || fail "no C++ compiler, which the messages need; for instance: apt install g++"
        [ -f "$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] ||
            fail "$python has no C headers, which the messages need; for instance: apt install python3-dev"
        step "ROS 2 wheels" pip install -r requirements/ros-wheels.txt
        make_ament_prefix "$venv"
    else
        command -v colcon >/dev/null || step "colcon" pip install -c requirements/constraints.txt colcon-common-extensions
        "$venv/bin/python" -c 'import tf2_msgs' 2>/dev/null || fail "ROS 2 $ros lacks tf2_msgs; apt install ros-$ros-tf2-msgs"
    fi
    step "this project, as the command mapkd" pip install --no-deps --no-build-isolation -e .
    echo "$stamp" > "$venv/.mapkd_setup"
}

make_venv
if [ -n "${ROS:-}" ] && [ "$ROS" != kilted ]; then
    add_distribution "$ROS"
fi
