"""Sequences whose elements are made when they are read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar, overload

T_co = TypeVar("T_co", covariant=True)


class LazySequence(Sequence[T_co]):
    """A sequence that computes each element when it is read; a slice of it is a list."""

    @abstractmethod
    def element(self, number: int) -> T_co:
        """The element with this number, from 0 on."""

    @overload
    def __getitem__(self, number: int) -> T_co: ...
    @overload
    def __getitem__(self, number: slice) -> list[T_co]: ...

    def __getitem__(self, number: int | slice) -> T_co | list[T_co]:
        places = range(len(self))[number]
        return [self.element(place) for place in places] if isinstance(places, range) else self.element(places)
