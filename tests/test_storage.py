"""Storage on real files and a real S3 server, behind a proxy that fails where that matters."""

import hashlib
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from loupe import storage
from loupe.retrying import retry_after_s
from tests.s3 import FAULTS, PAGE, S3

MB = 1 << 20


@pytest.fixture(params=["folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place, once a folder and once a bucket."""
    return request.getfixturevalue("s3").root if request.param == "s3" else str(tmp_path)


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


# --- Listing


def test_films_are_listed_by_path_without_hidden_and_other_files(root: str) -> None:
    names = ["b.mp4", "a/z.MOV", "a.mkv", "a/b/c.webm", ".hidden.mp4", ".cache/x.mp4", "notes.txt", "a/.x/y.mp4"]
    for name in names:
        storage.write_bytes(storage.join(root, "films", name), name.encode())
    entries = list(storage.list_files(storage.join(root, "films")))
    assert [entry.path for entry in entries] == ["a.mkv", "a/b/c.webm", "a/z.MOV", "b.mp4"]
    assert [storage.read_bytes(entry.uri).decode() for entry in entries] == [entry.path for entry in entries]
    assert all(entry.size == len(entry.path) and abs(entry.modified - time.time()) < 60 for entry in entries)
    everything = storage.list_files(storage.join(root, "films"), suffixes=None)
    assert [entry.path for entry in everything] == ["a.mkv", "a/b/c.webm", "a/z.MOV", "b.mp4", "notes.txt"]


def test_a_listing_and_a_stat_tell_the_same(root: str) -> None:
    storage.write_bytes(storage.join(root, "film.mp4"), b"abc")
    (listed,) = storage.list_files(root)
    assert storage.stat(listed.uri) == listed


def test_a_folder_next_to_one_with_a_longer_name_is_listed_alone(root: str) -> None:
    storage.write_bytes(storage.join(root, "films/a.mp4"), b"")
    storage.write_bytes(storage.join(root, "films-old/b.mp4"), b"")
    assert [entry.path for entry in storage.list_files(storage.join(root, "films"))] == ["a.mp4"]


def test_a_single_film_can_be_the_root(root: str) -> None:
    storage.write_bytes(storage.join(root, "one/film.mp4"), b"abc")
    (entry,) = storage.list_files(storage.join(root, "one/film.mp4"))
    assert (entry.path, entry.size) == ("film.mp4", 3)


def test_more_keys_than_a_page_holds_are_all_listed(s3: S3) -> None:
    names = [f"{i % 7}/film {i:04}.mp4" for i in range(2 * PAGE + 3)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: storage.write_bytes(f"{s3.root}/many/{name}", b"x"), names))
    assert [entry.path for entry in storage.list_files(f"{s3.root}/many")] == sorted(names)


@pytest.mark.parametrize("name", ["a b.mp4", "a#b?c=d&e.mp4", "100%25.mp4", "ünïcode 映画.mp4", "plus+.mp4"])
def test_odd_names_survive(root: str, name: str) -> None:
    storage.write_bytes(storage.join(root, name), b"abc")
    (entry,) = storage.list_files(root)
    assert entry.path == name
    assert storage.read_bytes(entry.uri) == b"abc"


def test_a_file_url_is_a_local_path(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    storage.write_bytes(storage.join(folder.as_uri(), "100% film.mp4"), b"abc")
    (entry,) = storage.list_files(folder.as_uri())
    assert (entry.uri, entry.path) == (str(folder / "100% film.mp4"), "100% film.mp4")


def test_a_file_whose_name_is_not_utf8_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in (b"caf\xe9.mp4", "café.mp4".encode(), b"caf\xe9.txt"):
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))).write_bytes(b"x")
    assert [entry.path for entry in storage.list_files(str(tmp_path))] == ["café.mp4"]
    (record,) = caplog.records
    assert record.getMessage().endswith("caf\\xe9.mp4' is left out: its name is not UTF-8")


def test_linked_folders_are_listed_and_a_link_that_leads_back_is_not(tmp_path: Path) -> None:
    library, disk = tmp_path / "library", tmp_path / "disk"
    for folder in (library / "here", disk / "there"):
        folder.mkdir(parents=True)
        (folder / "a.mp4").write_bytes(b"x")
    (library / "moved").symlink_to(disk)
    (library / "here" / "round").symlink_to(library)
    (disk / "there" / "back").symlink_to(library / "here")
    (library / "itself").symlink_to(library / "itself")
    listed = [entry.path for entry in storage.list_files(str(library))]
    assert listed == ["here/a.mp4", "moved/there/a.mp4", "moved/there/back/a.mp4"]


def test_a_broken_link_is_listed_and_a_pipe_is_not(tmp_path: Path) -> None:
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    (entry,) = storage.list_files(str(tmp_path))
    assert entry.path == "gone.mp4"
    with pytest.raises(storage.NotFound):
        storage.open_seekable(entry.uri)


# --- What is wrong is said


def test_a_missing_folder_is_named(root: str) -> None:
    missing = storage.join(root, "nothing/here")
    with pytest.raises(storage.NotFound, match=r"nothing/here"):
        list(storage.list_files(missing))
    with pytest.raises(storage.NotFound, match=r"nothing/here"):
        storage.require_folder(missing)
    with pytest.raises(storage.NotFound, match=r"nothing/here"):
        storage.open_seekable(missing)
    with pytest.raises(storage.NotFound, match=r"nothing/here"):
        storage.stat(missing)
    storage.require_folder(root)
    assert not storage.exists(missing)


def test_a_missing_bucket_is_named(s3: S3) -> None:
    message = f"There is no bucket 'no-such-bucket' at {s3.endpoint}."
    for attempt in (
        lambda: list(storage.list_files("s3://no-such-bucket/films")),
        lambda: storage.read_bytes("s3://no-such-bucket/films/a.mp4"),
        lambda: storage.write_bytes("s3://no-such-bucket/films/a.mp4", b""),
        lambda: storage.compare_and_put("s3://no-such-bucket/films/a.mp4", b"", None),
    ):
        with pytest.raises(storage.StorageError) as error:
            attempt()
        assert str(error.value) == message


@pytest.mark.parametrize("location", ["http://host/film.mp4", "gs://bucket/film.mp4", "s3://", "", "file://host/x.mp4"])
def test_other_locations_are_refused(location: str) -> None:
    with pytest.raises(storage.StorageError, match=r"s3://"):
        storage.read_bytes(location)


def test_missing_credentials_are_named(s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(storage.StorageError, match=r"AWS_ACCESS_KEY_ID"):
        storage.read_bytes(f"{s3.root}/film.mp4")


# --- Reading and writing


def test_ranges_are_cut_where_the_file_ends(root: str) -> None:
    data, uri = noise(10 * MB + 17), storage.join(root, "film.mp4")
    storage.write_bytes(uri, data)
    for start, length in [(None, None), (0, 5), (7, None), (9 * MB, 2 * MB), (10 * MB + 17, 5), (99 * MB, 1), (3, 0)]:
        begin = start or 0
        expected = data[begin:] if length is None else data[begin : begin + length]
        assert storage.read_bytes(uri, start, length) == expected


def test_an_empty_file_is_read_as_empty(root: str) -> None:
    uri = storage.join(root, "film.mp4")
    storage.write_bytes(uri, b"")
    assert storage.read_bytes(uri) == b""
    with storage.open_seekable(uri) as file:
        assert file.read() == b""
    assert storage.read_with_etag(uri) == (b"", storage.stat(uri).etag)


def test_a_file_is_replaced_and_deleted(root: str) -> None:
    uri = storage.join(root, "a/report.json")
    for data in (b"first", b"second"):
        storage.write_bytes(uri, data)
        assert storage.read_bytes(uri) == data
    assert storage.exists(uri)
    assert storage.exists(storage.join(root, "a"))
    storage.delete(uri)
    storage.delete(uri)
    assert not storage.exists(uri)


def test_versions_written_in_one_tick_of_the_clock_have_their_own_etags(root: str) -> None:
    uri = storage.join(root, "a.json")
    etags = set()
    for i in range(50):
        storage.write_bytes(uri, b"%02d" % i)
        etags.add(storage.stat(uri).etag)
    assert len(etags) == 50


def test_a_version_is_later_than_the_one_it_replaces_whatever_the_clock_says(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    storage.write_bytes(str(path), b"1")
    os.utime(path, (time.time() + 3600, time.time() + 3600))
    before = storage.stat(str(path))
    storage.write_bytes(str(path), b"2")
    after = storage.stat(str(path))
    assert after.modified > before.modified
    assert after.etag != before.etag


# --- Compare and put


def test_only_the_expected_version_is_replaced(root: str) -> None:
    uri = storage.join(root, "_loupe/a.json")
    assert storage.read_with_etag(uri) is None
    with pytest.raises(storage.Conflict):
        storage.compare_and_put(uri, b"0", "0123456789abcdef0123456789abcdef")
    first = storage.compare_and_put(uri, b"1", None)
    assert storage.read_with_etag(uri) == (b"1", first)
    with pytest.raises(storage.Conflict):
        storage.compare_and_put(uri, b"2", None)
    second = storage.compare_and_put(uri, b"2", first)
    with pytest.raises(storage.Conflict):
        storage.compare_and_put(uri, b"3", first)
    assert storage.read_with_etag(uri) == (b"2", second)


def count_up(uri: str, writer: int, rounds: int) -> int:
    """Add one to a counter as often as nobody comes between; returns how often."""
    won = 0
    for i in range(rounds):
        stored = storage.read_with_etag(uri)
        count = int(stored[0].split()[0]) if stored else 0
        try:
            storage.compare_and_put(uri, f"{count + 1} {writer} {i}".encode(), stored[1] if stored else None)
            won += 1
        except storage.Conflict:
            pass
    return won


def test_no_writer_overwrites_another(root: str) -> None:
    uri = storage.join(root, "counter")
    with ThreadPoolExecutor(6) as pool:
        won = sum(pool.map(lambda writer: count_up(uri, writer, 15), range(6)))
    assert int(storage.read_bytes(uri).split()[0]) == won > 0


def test_a_write_whose_answer_was_lost_is_no_conflict(faulty_s3: S3) -> None:
    faulty_s3.proxy.rate, faulty_s3.proxy.kinds = 0.4, ("lost",)
    assert count_up(f"{faulty_s3.root}/counter", 0, 6) == 6
    assert faulty_s3.proxy.faults["lost"] > 3
    assert storage.read_bytes(f"{faulty_s3.root}/counter") == b"6 0 5"


# --- Faults


QUICK = tuple(kind for kind in FAULTS if kind != "timeout")
"""The kinds that nobody waits for; of every kind there is a test below."""


def test_reads_through_faults_are_exact(faulty_s3: S3) -> None:
    faulty_s3.proxy.kinds = QUICK
    data, uri = noise(12 * MB), f"{faulty_s3.root}/film.mp4"
    storage.write_bytes(uri, data)
    draw = random.Random(7)
    for _ in range(12):
        with storage.open_seekable(uri) as file:
            for _ in range(3):
                start, length = draw.randrange(len(data)), draw.randrange(3 * MB)
                file.seek(start)
                assert file.read(length) == data[start : start + length]
    assert storage.read_bytes(uri) == data
    assert set(faulty_s3.proxy.faults) >= {"cut", "slow_down", "reset"}


def test_a_refusal_that_breaks_off_is_asked_for_again(faulty_s3: S3) -> None:
    proxy, uri = faulty_s3.proxy, f"{faulty_s3.root}/counter"
    proxy.rate, proxy.kinds = 0.5, ("cut",)
    for _ in range(4):
        assert storage.read_with_etag(uri) is None
        with pytest.raises(storage.Conflict):
            storage.compare_and_put(uri, b"1", "0123456789abcdef0123456789abcdef")
    assert proxy.faults["cut"] > 2


@pytest.mark.parametrize("kind", FAULTS)
def test_every_kind_of_fault_is_survived(faulty_s3: S3, kind: str) -> None:
    proxy = faulty_s3.proxy
    proxy.kinds = (kind,)
    data, uri = noise(3 * MB), f"{faulty_s3.root}/film.mp4"
    while not proxy.faults[kind]:
        storage.write_bytes(uri, data)
        assert storage.read_bytes(uri) == data
        assert storage.stat(uri).size == len(data)
        assert [entry.path for entry in storage.list_files(faulty_s3.root)] == ["film.mp4"]


def test_writes_through_faults_are_not_lost(faulty_s3: S3, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty_s3.proxy.kinds = QUICK
    for i in range(40):
        storage.write_bytes(f"{faulty_s3.root}/{i:02}.mp4", noise(1000, i))
    assert faulty_s3.proxy.faults
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    entries = list(storage.list_files(s3.root))
    assert [storage.read_bytes(entry.uri) for entry in entries] == [noise(1000, i) for i in range(40)]


def test_the_server_says_how_long_to_wait(faulty_s3: S3) -> None:
    proxy = faulty_s3.proxy
    storage.exists(f"{faulty_s3.root}/x")  # connected before the clock runs
    proxy.rate, proxy.kinds, proxy.retry_after = 1.0, ("slow_down",), "1"
    threading.Timer(0.3, setattr, (proxy, "rate", 0.0)).start()
    before, started = proxy.requests, time.monotonic()
    storage.write_bytes(f"{faulty_s3.root}/film.mp4", b"abc")
    assert time.monotonic() - started >= 1.0
    assert proxy.requests - before == 2


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-1", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after_s(value, now=10.0) == seconds


# --- Films read by ranges


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten minutes and some 80 MB: a noisy clip of two seconds, its packets copied over and over."""
    folder = tmp_path_factory.mktemp("film")
    clip, film = folder / "clip.mp4", folder / "film.mp4"
    pictures = np.random.default_rng(0)
    with av.open(str(clip), "w") as container:
        stream = container.add_stream(
            "libx264", rate=10, options={"g": "10", "bf": "0", "preset": "ultrafast", "qp": "20"}
        )
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for _ in range(20):
            frame = av.VideoFrame.from_ndarray(pictures.integers(0, 256, (96, 160, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(film), "w") as container, av.open(str(clip)) as source:
        stream = container.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        payload = [(bytes(packet), packet.is_keyframe, packet.pts, packet.time_base) for packet in packets]
        for repeat in range(300):
            for data, is_keyframe, pts, time_base in payload:
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.is_keyframe = stream, time_base, is_keyframe
                packet.pts = packet.dts = pts + int(repeat * 2 / time_base)
                container.mux(packet)
    return film


def frames_at(file: object, seconds: list[float]) -> list[str]:
    """Digests of the pictures at these times."""
    digests = []
    with av.open(file) as container:
        stream = container.streams.video[0]
        for second in seconds:
            container.seek(int(Fraction(second) / stream.time_base), stream=stream)
            frame = next(frame for frame in container.decode(stream) if frame.time >= second - 1e-6)
            digests.append(hashlib.sha256(frame.to_ndarray(format="rgb24").tobytes()).hexdigest())
    return digests


def test_four_frames_from_the_middle_cost_a_few_megabytes(s3: S3, long_film: Path) -> None:
    size = long_film.stat().st_size
    assert size > 60 * MB
    uri = f"{s3.root}/film.mp4"
    storage.write_bytes(uri, long_film.read_bytes())
    seconds = [300.0, 300.3, 300.6, 300.9]
    with storage.open_seekable(uri) as file:
        assert frames_at(file, seconds) == frames_at(str(long_film), seconds)
        assert file.bytes_read < 6 * MB
        assert file.requests < 8


def test_reading_on_takes_few_requests(s3: S3) -> None:
    data, uri = noise(40 * MB), f"{s3.root}/film.mp4"
    storage.write_bytes(uri, data)
    with storage.open_seekable(uri) as file:
        assert b"".join(iter(lambda: file.read(32768), b"")) == data
        assert file.bytes_read == len(data)
        assert file.requests <= 8


def test_two_places_read_in_turn_are_each_read_ahead(s3: S3) -> None:
    uri = f"{s3.root}/film.mp4"
    storage.write_bytes(uri, noise(40 * MB))
    with storage.open_seekable(uri) as file:
        for step in range(10):
            for half in (0, 20 * MB):
                file.seek(half + step * MB)
                file.read(MB)
        assert file.requests <= 10
        assert file.bytes_read <= 32 * MB


def test_what_was_just_read_is_remembered(s3: S3) -> None:
    uri = f"{s3.root}/film.mp4"
    storage.write_bytes(uri, noise(3 * MB))
    with storage.open_seekable(uri) as file:
        first = file.read()
        fetched = file.bytes_read
        file.seek(0)
        assert file.read() == first
        assert file.bytes_read == fetched == 3 * MB


def test_positions_are_those_of_a_plain_file(s3: S3, tmp_path: Path) -> None:
    data = noise(2 * MB + 5)
    storage.write_bytes(f"{s3.root}/film.mp4", data)
    (tmp_path / "film.mp4").write_bytes(data)
    draw = random.Random(3)
    with storage.open_seekable(f"{s3.root}/film.mp4") as far, storage.open_seekable(str(tmp_path / "film.mp4")) as near:
        for _ in range(200):
            whence = draw.choice([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END])
            offset = draw.randrange(-3 * MB, 4 * MB)
            if {os.SEEK_SET: 0, os.SEEK_CUR: near.tell(), os.SEEK_END: len(data)}[whence] + offset < 0:
                with pytest.raises(ValueError, match="before"):
                    far.seek(offset, whence)
                continue
            assert far.seek(offset, whence) == near.seek(offset, whence)
            length = draw.randrange(MB)
            assert far.read(length) == near.read(length)
            assert far.tell() == near.tell()


@pytest.mark.parametrize("change", [lambda uri: storage.write_bytes(uri, noise(6 * MB, 9)), storage.delete])
def test_a_film_that_changes_while_it_is_read_is_noticed(s3: S3, change: object) -> None:
    uri = f"{s3.root}/film.mp4"
    storage.write_bytes(uri, noise(6 * MB))
    with storage.open_seekable(uri) as file:
        file.read(MB)
        change(uri)
        with pytest.raises(storage.ObjectChanged):
            file.read(5 * MB)


def test_the_decoder_passes_the_change_on(s3: S3, long_film: Path) -> None:
    uri = f"{s3.root}/film.mp4"
    storage.write_bytes(uri, long_film.read_bytes())
    with storage.open_seekable(uri) as file, av.open(file) as container:
        storage.write_bytes(uri, b"another")
        with pytest.raises(storage.ObjectChanged):
            for _ in container.decode(video=0):
                pass


# --- LanceDB


def test_lance_reaches_the_same_bucket(s3: S3) -> None:
    import lancedb

    table = lancedb.connect(f"{s3.root}/db", storage_options=storage.lance_options()).create_table("t", [{"a": 1}])
    table.add([{"a": 2}])
    assert table.count_rows() == 2
    assert storage.exists(f"{s3.root}/db/t.lance")


def test_lance_options_hold_no_secret(s3: S3) -> None:
    assert storage.lance_options() == {
        "aws_region": "us-east-1",
        "aws_endpoint": s3.endpoint,
        "aws_virtual_hosted_style_request": "false",
        "allow_http": "true",
    }
