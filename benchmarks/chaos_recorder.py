"""kill -9, full disk, no permission and two at once for `recorder`, which writes what comes over DDS."""
from __future__ import annotations

import array
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import chaos_process

ROOT = Path(__file__).resolve().parents[1]
TOPIC = "/camera/cam_front/image_raw/compressed"
FULL_BYTES = 3_000_000
"""Where the disk is full; less would be too little for the shared memory of Fast DDS, which is files too."""
HZ, BYTES, MOST_LOST_S = 50, 20_000, 3.0
"""Of the messages; and how much of them a kill may cost: a chunk goes to the disk every second."""


class Sender:
    """Publishes numbered images without pause."""

    def __init__(self) -> None:
        import rclpy
        from sensor_msgs.msg import CompressedImage

        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("chaos_sender", context=self.context)
        self.publisher = self.node.create_publisher(CompressedImage, TOPIC.lstrip("/"), 10)
        self.message: Any = CompressedImage(format="jpeg", data=array.array("B", os.urandom(BYTES)))
        self.count = 0

    def send(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.count += 1
            self.message.header.stamp.sec = self.count
            self.publisher.publish(self.message)
            time.sleep(1 / HZ)

    def heard(self, path: Path, log: Path) -> bool:
        """Sends until the recording has begun: a killed recorder counts as a subscriber for a while."""
        until = time.monotonic() + 120
        while time.monotonic() < until:
            self.send(0.2)
            if "recording" in log.read_text() and path.is_file() and path.stat().st_size > 2 * BYTES:
                return True
        return False

    def until_end(self, process: Any) -> int:
        """Sends until a process ends; 999 for one that does not within two minutes."""
        until = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < until:
            self.send(0.2)
        if process.poll() is None:
            process.kill()
            process.wait()
            return 999
        return int(process.returncode)

    def close(self) -> None:
        import rclpy

        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def start(path: Path, log: Path, overwrite: bool = False, largest_file: int = 0, as_owner: bool = False) -> Any:
    program = str(ROOT / "mapkd_ros" / "recorder" / "recorder.py")
    words = ["-p", f"output:={path}", "-p", f"overwrite:={str(overwrite).lower()}"]

    def limit() -> None:
        import resource

        if largest_file:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
        if as_owner:
            chaos_process.give_up_privileges()

    with log.open("w") as output:
        return subprocess.Popen(
            [sys.executable, program, "--ros-args", *words], stdout=output, stderr=output, preexec_fn=limit
        )


def recorded(path: Path) -> list[int]:
    """The numbers of the images in a recording."""
    from mapkd_core.bags.plain_messages import PlainMessages
    from mapkd_core.bags.reader import BagMessage, BagReader

    plain = PlainMessages()

    def read(message: BagMessage) -> Any:
        return plain.types.deserialize_cdr(message.data, message.topic.msg_type)

    with BagReader(path) as bag:
        return [
            read(message).header.stamp.sec for message in bag.messages() if message.topic.name == TOPIC
        ]


def after_kill(path: Path, sent: int, folder: Path) -> list[str]:
    """Faults of what a killed recorder has left: gaps, more lost than the last moments, a repair that fails."""
    numbers = recorded(path)
    faults = []
    if not numbers:
        return ["nothing was recorded"]
    lost_s = (sent - numbers[-1]) / HZ
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        faults.append("messages are missing between others")
    if lost_s > MOST_LOST_S:
        faults.append(f"the last {lost_s:.1f} s are lost")
    command = chaos_process.start(["bag", "repair", str(path)], folder, folder / "chaos.log")
    code = command.wait()
    repaired = path.with_name(f"{path.stem}_repaired{path.suffix}")
    if code or not repaired.exists():
        return [*faults, f"repair ends with {code}: {command.output.strip()[-200:]}"]
    if recorded(repaired) != numbers:
        faults.append("the repaired bag holds something else")
    repaired.unlink()
    return faults


def disturb(work: Path, seed: int, kills: int) -> tuple[str, list[str]]:
    """The recorder's row of the table, and its faults."""
    chance, sender, faults = random.Random(seed), Sender(), []
    folder = work / "recorder"
    folder.mkdir(exist_ok=True)
    path, log, done, kept = folder / "out.mcap", folder / "recorder.log", 0, 0
    for number in range(kills):
        overwrite = number % 3 == 2  # an older recording waits until the new one is whole
        precious = path.read_bytes() if overwrite and path.exists() else None
        if not overwrite:
            path.unlink(missing_ok=True)
        process = start(path, log, overwrite)
        if not sender.heard(path, log):
            faults.append(f"no subscription: {log.read_text()[-200:]}")
        moment_s = chance.uniform(0.1, 5.0)
        sender.send(moment_s)
        process.send_signal(signal.SIGKILL)
        sent = sender.count
        process.wait()
        done += 1
        print(f"  recorder{' overwrite' if overwrite else ''} after {moment_s:.2f} s: killed", flush=True)
        try:
            found = after_kill(path, sent, folder)
        except Exception as error:
            found = [f"{type(error).__name__}: {error}"]
        old = path.with_name(f".{path.name}.old")
        if precious is not None and (not old.exists() or old.read_bytes() != precious):
            found.append("the recording that was to be replaced is gone")
        faults += [f"after {moment_s:.2f} s: {fault}" for fault in found]
        kept += not found
        old.unlink(missing_ok=True)
        time.sleep(1.0)
    path.unlink(missing_ok=True)
    process = start(path, log, largest_file=FULL_BYTES)
    code, told = sender.until_end(process), log.read_text()
    full = code == 2 and "Traceback" not in told and "mapkd bag repair" in told and len(recorded(path)) > 10
    if not full:
        faults.append(f"full disk: code {code}, {told.strip()[-200:]}")
    path.unlink(missing_ok=True)
    folder.chmod(0o555)
    other = work / "recorder.log"
    process = start(path, other, as_owner=True)
    code, told = process.wait(120), other.read_text()
    folder.chmod(0o755)
    forbidden = code == 2 and "Permission denied" in told and "Traceback" not in told
    if not forbidden:
        faults.append(f"folder without permission: code {code}, {told.strip()[-200:]}")
    first = start(path, log)
    sender.heard(path, log)
    second = start(path, other)
    code, told = second.wait(120), other.read_text()
    two = code == 2 and f"in use by process {first.pid}" in told
    if not two:
        faults.append(f"two at once: code {code}, {told.strip()[-200:]}")
    first.send_signal(signal.SIGINT)
    if first.wait(60) != 0 or not path.exists():
        faults.append(f"the first of two: {log.read_text()[-200:]}")
    sender.close()
    words = ("1 of 1" if full else "no", "yes" if forbidden else "no", "one refused" if two else "no")
    row = f"| `recorder` | {done} ({done} alone) | {kept} of {done} | {' | '.join(words)} | {len(faults)} |"
    return row, [f"recorder: {fault}" for fault in faults]


def available() -> bool:
    """Whether ROS 2 and the messages are there."""
    try:
        import rclpy  # noqa: F401

        import mapkd_ros.msg  # noqa: F401
    except ImportError:
        return False
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    return True
