"""What the benchmarks rely on."""

from collections import Counter

from kit import build
from kit.load import assert_all_right


def test_times_tell_of_every_answer(make_pool, make_load):
    pool = make_pool(command=[build.built("tests/work")], workers=2).up()
    load = make_load(pool.address, clients=4, requests=40, mix="GET:10?delay=20,POST:1000?burn=2", times=True)
    result = load.wait()
    assert_all_right(result, 40)
    times = load.times()
    assert Counter(pid for _, _, pid in times) == result.answers
    assert max(latency for _, latency, _ in times) // 1000 == result.slowest_ms
    assert all(0 <= start <= start + latency <= 1000 * (result.elapsed_ms + 1) for start, latency, _ in times)
    assert all(latency >= 2000 for _, latency, _ in times) and sum(latency >= 20000 for _, latency, _ in times) >= 20
