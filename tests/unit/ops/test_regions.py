"""Part of a map against the same part of the whole."""

import pytest
import torch
from torch.nn import functional as F

from propainter.ops.regions import Region, Span, conv, crop, double

REGIONS = [
    Region(Span(0, 24, 24), Span(0, 40, 40)),
    Region(Span(7, 9, 24), Span(20, 33, 40)),
    Region(Span(0, 1, 24), Span(39, 40, 40)),
    Region(Span(11, 24, 24), Span(0, 5, 40)),
]


@pytest.mark.parametrize("want", REGIONS)
def test_a_part_is_convolved_as_the_whole_is(want: Region) -> None:
    whole, weight, bias = torch.randn(1, 3, 24, 40), torch.randn(2, 3, 3, 3), torch.randn(2)
    everything = Region.whole(24, 40)
    have = want.grow(1)
    expected = crop(F.conv2d(whole, weight, bias, padding=1), everything, want)
    part = conv(crop(whole, everything, have), lambda padded: F.conv2d(padded, weight, bias), have, want)
    torch.testing.assert_close(part, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("want", REGIONS)
def test_a_part_is_doubled_as_the_whole_is(want: Region) -> None:
    whole, have = torch.randn(1, 3, 12, 20), want.halved()
    expected = crop(
        F.interpolate(whole, scale_factor=2, mode="bilinear", align_corners=True), Region.whole(24, 40), want
    )
    part = crop(whole, Region.whole(12, 20), have)
    torch.testing.assert_close(double(part, have, want), expected, rtol=0, atol=1e-5)


def test_doubling_reads_a_few_places_more_than_half() -> None:
    assert Span(0, 1, 240).halved() == Span(0, 3, 120)
    assert Span(100, 110, 240).halved() == Span(48, 57, 120)
    assert Span(230, 240, 240).halved() == Span(113, 120, 120)
