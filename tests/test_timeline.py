"""Time arithmetic."""

import pytest

from loupe.timeline import Chunk, Cluster, chunks, cluster, grid, iou, linspace_ms, union


def test_the_last_chunk_is_what_is_left():
    assert chunks(130_500) == [Chunk(0, 0, 60_000), Chunk(1, 60_000, 120_000), Chunk(2, 120_000, 130_500)]
    assert chunks(120_000) == [Chunk(0, 0, 60_000), Chunk(1, 60_000, 120_000)]
    assert chunks(0) == []
    assert chunks(2_500, chunk_seconds=1.5) == [Chunk(0, 0, 1_500), Chunk(1, 1_500, 2_500)]


def test_a_longer_film_begins_with_the_same_chunks():
    assert chunks(500_000)[:2] == chunks(130_500)[:2]


@pytest.mark.parametrize("fps", [1, 0.5, 0.3, 2, 3, 29.97, 7.123])
@pytest.mark.parametrize("chunk_seconds", [60, 7, 0.9])
def test_chunks_share_one_grid(fps, chunk_seconds):
    duration_ms = 200_123
    whole = grid(0, duration_ms, fps)
    parts = [t for chunk in chunks(duration_ms, chunk_seconds) for t in grid(chunk.start_ms, chunk.end_ms, fps)]
    assert parts == whole
    assert whole == [t for t in (round(1000 * k / fps) for k in range(10_000)) if t < duration_ms]


def test_a_grid_of_nothing_is_empty():
    assert grid(500, 900, 1) == []
    assert grid(1_000, 1_000, 1) == []


@pytest.mark.parametrize("fps", [0, -1, 2_000])
def test_a_grid_needs_a_rate(fps):
    with pytest.raises(ValueError, match="samples a second"):
        grid(0, 1_000, fps)


def test_linspace_holds_both_ends():
    assert linspace_ms(1_000, 2_000, 5) == [1_000, 1_250, 1_500, 1_750, 2_000]
    assert linspace_ms(0, 10, 4) == [0, 3, 7, 10]
    assert linspace_ms(0, 1_000, 1) == [500]
    with pytest.raises(ValueError, match="0 times"):
        linspace_ms(0, 1_000, 0)


def test_hits_gather_where_they_are_close():
    found = cluster([30_000, 1_000, 4_000, 90_000, 35_000], [0.5, 0.2, 0.9, 0.1, 0.4], gap_ms=5_000)
    assert found == [
        Cluster(1_000, 4_000, 2, 0.9, 60_000 * 2 / 8_000),
        Cluster(30_000, 35_000, 2, 0.5, 60_000 * 2 / 10_000),
        Cluster(90_000, 90_000, 1, 0.1, 12.0),
    ]
    assert cluster([], [], gap_ms=1_000) == []


def test_more_hits_in_the_same_time_are_denser():
    sparse, dense = (cluster(times, [1.0] * len(times), 5_000)[0] for times in ([0, 4_000], [0, 1_000, 2_000, 4_000]))
    assert dense.density_per_minute == 2 * sparse.density_per_minute


def test_iou_is_of_unions():
    assert iou([(0, 10)], [(5, 15)]) == pytest.approx(5 / 15)
    assert iou([(0, 6), (4, 10)], [(0, 10)]) == 1.0
    assert iou([(0, 1), (2, 3)], [(0, 3)]) == pytest.approx(2 / 3)
    assert iou([(0, 1)], [(1, 2)]) == 0.0
    assert iou([], []) == 0.0
    assert iou([(3, 3)], [(0, 5)]) == 0.0


def test_union_joins_what_touches():
    assert union([(5, 6), (0, 2), (2, 3), (9, 8)]) == [(0, 3), (5, 6)]
