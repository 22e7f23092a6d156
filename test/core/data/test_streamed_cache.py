"""Caches read as a stream: every sample once an epoch, shared out, resumed to the sample, over HTTP."""
import functools
import http.server
import threading
from collections import Counter

import pytest
from torch.utils.data import DataLoader

from mapkd_core.config import AugmentConfig, DataConfig, TrainConfig
from mapkd_core.data.cache import CachedSamples, CacheIndex, StreamedSamples
from mapkd_core.training.batches import training_batches

pytest.importorskip("webdataset")
from packed_drive import OPTIONS, packed_drive


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return packed_drive(tmp_path_factory.mktemp("caches") / "drive")


def take(stream, count):
    return [pair for pair, _ in zip(stream, range(count), strict=False)]


def tokens(pairs):
    return [sample.token for _, sample in pairs]


def test_a_stream_gives_every_sample_once_an_epoch_in_a_new_order(folder):
    pairs = take(StreamedSamples(folder, OPTIONS, window=8), 69)
    epochs = [tokens(pairs[k : k + 23]) for k in (0, 23, 46)]
    assert all(len(set(epoch)) == 23 for epoch in epochs) and epochs[0] != epochs[1] != epochs[2]
    assert [number for number, _ in pairs] == list(range(69))
    assert tokens(take(StreamedSamples(folder, OPTIONS, window=8), 69)) == tokens(pairs)
    assert tokens(take(StreamedSamples(folder, OPTIONS, window=8, seed=1), 23)) != epochs[0]


def test_processes_share_an_epoch(folder):
    shares = [tokens(take(StreamedSamples(folder, OPTIONS, rank=r, world=3, window=4), 7)) for r in range(3)]
    assert max(Counter(token for share in shares for token in share).values()) == 1
    with pytest.raises(ValueError, match="23 cached samples for 30 workers"):
        take(StreamedSamples(folder, OPTIONS, rank=0, world=30), 1)


def batches(folder, start: int, count: int) -> list[list[tuple[int, str]]]:
    stream = StreamedSamples(folder, OPTIONS, batch_size=2, start_batch=start, window=5)
    loader = DataLoader(stream, batch_size=2, num_workers=2, collate_fn=list)
    return [[(number, sample.token) for number, sample in batch] for batch in take(loader, count)]


def test_a_resumed_stream_with_workers_continues_to_the_sample(folder):
    whole = batches(folder, 0, 18)
    assert batches(folder, 7, 11) == whole[7:]
    assert len({number for batch in whole for number, _ in batch}) == 36


@pytest.fixture
def url(folder):
    """The cache behind a web server."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_streams_over_http(folder, url):
    pairs = take(StreamedSamples(url, OPTIONS, window=8), 23)
    assert tokens(pairs) == tokens(take(StreamedSamples(folder, OPTIONS, window=8), 23))
    with pytest.raises(ValueError, match="StreamedSamples"):
        CachedSamples(url, OPTIONS)
    with pytest.raises(FileNotFoundError, match="no cache at http"):
        CacheIndex.read(f"{url}/elsewhere")


def test_training_from_a_url_resumes_to_the_same_batch(url):
    config = TrainConfig(
        data=DataConfig(train=f"cache:{url}", image_size=(160, 64), sd_map=True), batch_size=2,
        augment=AugmentConfig(photometric=0.5, flip=True),
    )
    whole = take(training_batches(config), 14)
    assert len({token for batch in whole[:11] for token in batch.tokens}) == 22
    (resumed,) = take(training_batches(config, first_batch=12), 1)
    assert resumed.tokens == whole[12].tokens and resumed.images.equal(whole[12].images)
    assert resumed.semantic.equal(whole[12].semantic) and resumed.lidar is None
