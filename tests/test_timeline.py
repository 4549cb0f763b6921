"""Time arithmetic."""

import pytest

from loupe.timeline import Chunk, chunks, clamp, cluster, grid, iou, linspace_ms


def test_chunks_cover_a_film_and_the_last_ends_with_it() -> None:
    assert chunks(125_000) == [Chunk(0, 0, 60_000), Chunk(1, 60_000, 120_000), Chunk(2, 120_000, 125_000)]
    assert chunks(60_000) == [Chunk(0, 0, 60_000)]
    assert chunks(0) == []


@pytest.mark.parametrize("fps", [1, 0.3, 2, 24, 29.97])
def test_the_grids_of_chunks_are_the_grid_of_the_film(fps: float) -> None:
    parts = [time for chunk in chunks(20_000, 7) for time in grid(chunk.start_ms, chunk.end_ms, fps)]
    assert parts == grid(0, 20_000, fps)
    assert parts[:3] == [round(1000 * k / fps) for k in range(3)]
    assert len(parts) == len(set(parts))


def test_clamp_and_linspace_stay_within() -> None:
    assert [clamp(value, 0, 10) for value in (-5, 5, 15)] == [0, 5, 10]
    assert linspace_ms(1000, 2000, 5) == [1000, 1250, 1500, 1750, 2000]
    assert len(linspace_ms(0, 10, 1)) == 1
    with pytest.raises(ValueError, match="0 times"):
        linspace_ms(0, 10, 0)


def test_hits_gather_in_order_of_time() -> None:
    found = cluster([1000, 90_000, 2000, 91_000, 3000], [0.5, 0.9, 0.4, 0.1, 0.3], gap_ms=5000)
    assert [(c.start_ms, c.end_ms, c.count, c.best_score) for c in found] == [
        (1000, 3000, 3, 0.5),
        (90_000, 91_000, 2, 0.9),
    ]
    assert cluster([], [], gap_ms=1) == []


def test_iou_takes_spans_as_the_moments_they_cover() -> None:
    assert iou([(0, 10)], [(5, 15)]) == pytest.approx(5 / 15)
    assert iou([(0, 6), (4, 10)], [(0, 10)]) == pytest.approx(1)
    assert iou([(0, 1)], [(2, 3)]) == 0
    assert iou([], []) == 0
