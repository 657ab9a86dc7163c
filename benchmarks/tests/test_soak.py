import pytest

from benchmarks.studies.soak import out_of_bounds

FLAT = [500, 600, 610, 620, 700, 700, 701, 701, 702, 703]


@pytest.mark.parametrize(
    ("variant", "memory", "delta", "fault"),
    [
        ("fp32", FLAT, 1e-5, ""),
        ("int8", FLAT, 0.1, ""),
        ("fp32", FLAT, 1e-3, "logits differ by 0.001"),
        ("fp16", FLAT, 0.1, "logits differ by 0.1"),
        ("fp32", [100 * 10**6 * n for n in range(1, 11)], 0.0, "memory grew from 500 to 1,000 MB"),
    ],
)
def test_the_soak_fails_beyond_its_bounds(variant: str, memory: list[int], delta: float, fault: str) -> None:
    assert fault in "".join(out_of_bounds(variant, memory, [0.0, delta]))
    assert bool(fault) == bool(out_of_bounds(variant, memory, [0.0, delta]))
