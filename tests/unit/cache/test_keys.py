"""Digests of recipes, and the identity of an entry."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from cache.keys import StageKey, digest_of


def test_a_digest_is_the_same_in_any_process_and_on_any_host() -> None:
    # Printed once by: python -c 'from hashlib import blake2b; print(blake2b(
    #   b"{\"a\":[1,2.5,null],\"b\":{\"c\":true}}", digest_size=20).hexdigest())'
    assert digest_of({"b": {"c": True}, "a": (1, 2.5, None)}) == "b7343c83f9da305f1ab85a947d9c5dbe2eafaf5d"


def test_the_order_of_a_recipe_does_not_matter_and_tuples_are_lists() -> None:
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": (1, 2), "a": 1})


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (1, True), (0, None), ("1", 1), ([], {}), ([1, 2], [2, 1]), ("a", ["a"]), (0.0, -0.0)]
)
def test_values_that_differ_give_digests_that_differ(one: object, other: object) -> None:
    assert digest_of({"value": one}) != digest_of({"value": other})


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), b"bytes", {1, 2}, Fraction(1, 2), np.float64(1.0), np.int64(1), {1: "a"}, object()],
)
def test_what_is_not_plain_is_refused_wherever_it_stands(value: object) -> None:
    with pytest.raises(TypeError, match="recipe"):
        digest_of({"settings": [value]})


def test_an_entry_is_named_by_its_stage_and_all_its_segments_in_order() -> None:
    keys: list[Any] = [
        StageKey("estimate_flow", ("a", "b")),
        StageKey("estimate_flow", ("b", "a")),
        StageKey("estimate_flow", ("ab",)),
        StageKey("estimate_flow", ()),
        StageKey("complete_flow", ("a", "b")),
    ]
    assert len({key.digest for key in keys}) == len(keys)
    assert StageKey("estimate_flow", ("a", "b")) == keys[0]
    assert len(keys[0].digest) == 40


def test_a_stage_that_could_leave_its_folder_is_refused() -> None:
    with pytest.raises(ValueError, match="not a name"):
        StageKey("../estimate_flow", ())
