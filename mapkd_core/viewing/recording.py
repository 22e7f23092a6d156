"""Where moments go: an .rrd file, rerun's viewer in a window, or one in a browser. Needs rerun-sdk."""
from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import rerun as rr

from mapkd_core.files import replacing
from mapkd_core.map_files.moment import Moment
from mapkd_core.viewing.blueprint import blueprint
from mapkd_core.viewing.rerun_log import APPLICATION, RerunLog


def new_recording(name: str) -> rr.RecordingStream:
    """A recording that goes nowhere yet."""
    recording = rr.RecordingStream(APPLICATION)
    recording.send_recording_name(name)
    return recording


def log_all(moments: Iterable[Moment], log: RerunLog) -> None:
    """Logs moments as they come."""
    for moment in moments:
        log_one(moment, log)


def log_one(moment: Moment, log: RerunLog) -> None:
    """Logs a moment; the first one says how the viewer is laid out."""
    if not log.moments:
        log.recording.send_blueprint(blueprint([camera.name for camera in moment.cameras], moment.truth is not None))
    log.add(moment)


def save(moments: Iterable[Moment], log: RerunLog, path: Path) -> None:
    """Writes moments to a file for `rerun FILE.rrd`; `log.moments` says how many.

    A file that is there is replaced at the end; after KeyboardInterrupt, which is raised again, by what came until
    then. Without any moment nothing is written. Raises OSError.
    """
    interrupted: KeyboardInterrupt | None = None
    with suppress(_NothingError), replacing(path) as place:
        log.recording.save(place)
        try:
            log_all(moments, log)
        except KeyboardInterrupt as error:
            interrupted = error
        finally:
            log.recording.flush()
            log.recording.disconnect()
        if not log.moments:
            raise interrupted or _NothingError
    if interrupted is not None:
        raise interrupted


def open_window(recording: rr.RecordingStream) -> None:
    """Starts rerun's viewer, or uses one that runs; the recording goes there. Raises ValueError without a display."""
    try:
        rr.spawn(recording=recording)
    except RuntimeError as error:
        raise ValueError(
            f"rerun's viewer does not start ({error}); use --web for one in a browser, or --save FILE.rrd"
        ) from error


def open_browser(recording: rr.RecordingStream, port: int, data_port: int) -> str:
    """Serves rerun's viewer on `port` and the recording on `data_port`, for this machine; returns the address."""
    source = recording.serve_grpc(grpc_port=data_port)
    rr.serve_web_viewer(web_port=port, open_browser=False, connect_to=source)
    return f"http://127.0.0.1:{port}/?url={source.replace('+', '%2B')}"


class _NothingError(Exception):
    """No moment came: the file is not to take its place."""
