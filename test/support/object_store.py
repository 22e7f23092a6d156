"""A server of this machine that speaks S3 (moto), with one bucket, and the environment that leads to it."""
from __future__ import annotations

import contextlib
import os
import urllib.request
from collections.abc import Iterator
from unittest import mock

BUCKET = "bucket"


@contextlib.contextmanager
def object_store() -> Iterator[str]:
    """The URL of an empty bucket, for s3fs in this process and in those that it starts."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    urllib.request.urlopen(f"http://{host}:{port}/moto-api/reset", data=b"").close()  # servers of a process share all
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    with mock.patch.dict(os.environ, environment):
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir(BUCKET)
        try:
            yield f"s3://{BUCKET}"
        finally:
            s3fs.S3FileSystem.clear_instance_cache()
            server.stop()
