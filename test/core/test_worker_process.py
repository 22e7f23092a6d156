"""Workers do not outlive the process that started them, even one that is killed."""
import os
import signal
import subprocess
import sys
import time

import pytest

PARENT = """
import multiprocessing, sys
from mapkd_core.worker_process import end_with_parent
def work(results):
    end_with_parent()
    results.put(b"x" * 1_000_000)  # more than a pipe takes: at its end the worker waits until somebody reads it
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    results = context.Queue()
    worker = context.Process(target=work, args=(results,))
    worker.start()
    print(worker.pid, flush=True)
    worker.join()
"""


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_a_worker_ends_with_a_parent_that_is_killed(how, tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(tmp_path / "parent.py"), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        worker = int(process.stdout.readline())
        until = time.monotonic() + 60
        while len(os.listdir(f"/proc/{worker}/task")) < 2:  # its thread has begun to hand over the result
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        while not gone(worker):
            assert time.monotonic() < until, f"worker {worker} is still there"
            time.sleep(0.01)
