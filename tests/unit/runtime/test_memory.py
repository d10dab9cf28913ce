import mmap

from propainter.runtime.memory import MemorySampler


def test_memory_that_was_held_for_a_moment_shows_in_the_peak() -> None:
    # Not from the heap, where an earlier test may have left as much free.
    with MemorySampler(interval_s=3600) as sampler, mmap.mmap(-1, 64 << 20) as block:
        block.write(b"x" * len(block))
        sampler.sample()
    first, held, _ = sampler.samples
    assert held.rss_bytes - first.rss_bytes > 60 << 20


def test_the_thread_samples_on_its_own() -> None:
    with MemorySampler(interval_s=0.001) as sampler:
        while len(sampler.samples) < 5:
            pass
    seconds = [sample.seconds for sample in sampler.samples]
    assert seconds == sorted(seconds)


def test_a_long_run_holds_few_samples_and_still_its_peak_and_its_ends() -> None:
    with MemorySampler(interval_s=3600, max_samples=8) as sampler:
        block = bytearray(b"x" * (64 << 20))
        sampler.sample()
        peak_bytes = sampler.samples[-1].rss_bytes
        del block
        for _ in range(100):
            sampler.sample()
    samples = sampler.samples
    assert 3 <= len(samples) <= 9
    assert max(sample.rss_bytes for sample in samples) == peak_bytes
    assert [sample.seconds for sample in samples] == sorted(sample.seconds for sample in samples)
