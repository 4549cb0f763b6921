"""Fixtures that several test files share."""

import uuid
from collections.abc import Iterator

import pytest

from infra.local_cluster import own_cluster
from tests.s3 import S3, FaultyProxy, make_bucket, serve


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """An S3 server for the whole run."""
    with serve() as endpoint:
        yield endpoint


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> S3:
    """An empty bucket; the environment leads to it."""
    bucket = f"bucket-{uuid.uuid4().hex}"
    make_bucket(s3_endpoint, bucket)
    s3 = S3(s3_endpoint, bucket)
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    return s3


@pytest.fixture
def faulty_s3(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """The same behind a proxy that fails every fifth request; `faulty_s3.proxy` can be set to fail otherwise."""
    with FaultyProxy(s3.endpoint, rate=0.2, seed=1) as proxy:
        faulty = S3(proxy.endpoint, s3.bucket, proxy)
        for name, value in faulty.env.items():
            monkeypatch.setenv(name, value)
        yield faulty


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """The environment that leads to a Ray cluster of the module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")
        with own_cluster() as env:
            yield env
