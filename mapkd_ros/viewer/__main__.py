"""Shows what a student_node that runs now sees and publishes: `mapkd view live` starts this."""
from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from mapkd_core.output_file import output_file
from mapkd_ros.node_main import run_main

if TYPE_CHECKING:
    from mapkd_core.grid import BevGrid
    from mapkd_core.viewing.rerun_log import RerunLog
    from mapkd_ros.stop_signals import StopSignals

NAME = "mapkd view live"


def parser() -> argparse.ArgumentParser:
    """The options; `mapkd view --help` explains them."""
    made = argparse.ArgumentParser(NAME, description=__doc__)
    made.add_argument("--namespace", default="")
    made.add_argument("--base-frame", default="base_link")
    made.add_argument("--rig", type=Path)
    made.add_argument("--image-transport", default="compressed")
    made.add_argument("--image-width", type=int, default=640)
    made.add_argument("--limit", type=int)
    made.add_argument("--save", type=output_file)
    made.add_argument("--web", action="store_true")
    made.add_argument("--port", type=int, default=9090)
    return made


def main(words: list[str] | None = None) -> int:
    """Shows maps until a signal comes, or --limit of them; returns the exit code."""
    args = parser().parse_args(words)
    return run_main(NAME, lambda signals: _run(args, signals))


def _run(args: argparse.Namespace, signals: StopSignals) -> int:
    from mapkd_core.cameras.rig import regular_rig
    from mapkd_core.cameras.rig_file import load_rig
    from mapkd_core.files import replacing
    from mapkd_core.types import CAMERAS
    from mapkd_core.viewing.recording import new_recording, open_browser, open_window
    from mapkd_core.viewing.rerun_log import RerunLog
    from mapkd_ros.node_main import ros
    from mapkd_ros.viewer.live_view import LiveView

    rig = load_rig(args.rig) if args.rig else regular_rig(CAMERAS, args.image_transport)
    recording = new_recording("live")

    def new_log(grid: BevGrid) -> RerunLog:
        return RerunLog(recording, grid, args.image_width)

    with ExitStack() as stack:
        stack.enter_context(ros())
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        node = rclpy.create_node("mapkd_view", namespace=args.namespace)
        stack.callback(node.destroy_node)
        view = LiveView(node, rig, new_log, args.base_frame)
        if args.save is not None:
            recording.save(stack.enter_context(replacing(args.save)))
        elif args.web:
            print(f"open {open_browser(recording, args.port, args.port + 1)}", flush=True)
        else:
            open_window(recording)
        print(f"waiting for maps on {view.topic}; Ctrl-C ends", flush=True)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        signals.spin(executor, lambda: args.limit is None or view.moments < args.limit)
        executor.shutdown()
        for reason, count in view.live.faults.most_common():
            print(f"{count:6d}  {reason}")
        recording.flush()
        recording.disconnect()
        if not view.moments:
            raise ValueError(f"no map came on {view.topic}; see --namespace, and whether student_node runs there")
    print(f"{view.moments} moments" + (f" -> {args.save}" if args.save else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
