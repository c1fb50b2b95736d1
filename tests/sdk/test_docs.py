"""Docstrings below attributes, and names in words."""

import argparse
import gc
import time
import typing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import ModuleType

import pytest

from guanxi_sdk import _docs
from guanxi_sdk._docs import attribute_docs, camel, snake, words


class Plain:
    """A class."""

    first: int
    """The first.

    With a second paragraph.
    """
    second: int
    third: int
    """The third."""
    not_annotated = 1
    """Not this."""


class Child(Plain):
    """Another."""

    third: int
    """Changed."""
    fourth: int
    """The fourth."""


def test_the_string_below_an_attribute_describes_it():
    assert attribute_docs(Plain) == {
        "first": "The first.\n\nWith a second paragraph.", "third": "The third.",
    }  # fmt: skip
    assert attribute_docs(Child) == {
        "first": "The first.\n\nWith a second paragraph.", "third": "Changed.",
        "fourth": "The fourth.",
    }  # fmt: skip


def test_classes_within_functions_are_found():
    class Inner:
        """Within."""

        here: int
        """Found."""

    assert attribute_docs(Inner) == {"here": "Found."}


def test_without_source_there_are_none():
    made = type("Made", (), {"__module__": "nowhere"})
    assert attribute_docs(made) == {}


@pytest.mark.parametrize(
    ("python", "as_words", "as_snake"),
    [
        ("purchase_total", "purchase total", "purchase_total"),
        ("PurchaseTotal", "purchase total", "purchase_total"),
        ("Customer", "customer", "customer"),
        ("Level2Person", "level2 person", "level2_person"),
    ],
)
def test_names(python, as_words, as_snake):
    assert (words(python), snake(python)) == (as_words, as_snake)


@pytest.mark.parametrize(
    ("python", "graphql"), [("purchase_total", "purchaseTotal"), ("id", "id"), ("a_b_c", "aBC")]
)
def test_camel(python, graphql):
    assert camel(python) == graphql


@contextmanager
def _interrupted() -> Iterator[None]:
    """Threads take turns wherever the garbage collector runs, which is often."""

    def give_way(*_: object) -> None:
        time.sleep(0)

    former = gc.get_threshold()
    gc.callbacks.append(give_way)
    gc.freeze()  # what is there already need not be looked through each time
    gc.set_threshold(50)
    try:
        yield
    finally:
        gc.set_threshold(*former)
        gc.unfreeze()
        gc.callbacks.remove(give_way)


def test_threads_that_read_sources_do_not_meet() -> None:
    """Making two syntax trees at a time fails in CPython 3.11."""

    def read(module: ModuleType) -> bool:
        return bool(_docs._classes.__wrapped__(module))

    modules = [argparse, typing] * 6
    with _interrupted(), ThreadPoolExecutor(4) as threads:
        assert all(threads.map(read, modules))
