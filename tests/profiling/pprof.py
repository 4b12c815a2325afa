"""Reads CPU profiles in the format of pprof, a protobuf message compressed with gzip."""

import gzip
from typing import NamedTuple

# Numbers of the fields in `profile.proto`.
SAMPLES, LOCATIONS, FUNCTIONS, STRINGS, DURATION, PERIOD = 2, 4, 5, 6, 10, 12


class Profile(NamedTuple):
    """Samples by stack, the outermost function first, with the seconds of the profile and of a sample."""

    stacks: dict
    seconds: float
    seconds_per_sample: float

    @property
    def samples(self):
        return sum(self.stacks.values())

    def cumulative(self):
        """Returns the samples in which each function, or one that it calls, was running."""
        counts = {}
        for stack, count in self.stacks.items():
            for name in set(stack):
                counts[name] = counts.get(name, 0) + count
        return counts


def varint(data, position):
    """Returns a number and the position after it."""
    number = shift = 0
    while True:
        byte = data[position]
        number |= (byte & 0x7F) << shift
        position += 1
        shift += 7
        if byte < 0x80:
            return number, position


def fields(data):
    """Yields the number and the value of each field of a message."""
    position = 0
    while position < len(data):
        key, position = varint(data, position)
        if key & 7 == 0:
            value, position = varint(data, position)
        elif key & 7 == 2:
            length, position = varint(data, position)
            value, position = data[position : position + length], position + length
        else:
            raise ValueError(f"wire type {key & 7} at byte {position}, expected 0 or 2")
        yield key >> 3, value


def numbers(data):
    """Returns the numbers of a packed field."""
    found = []
    position = 0
    while position < len(data):
        number, position = varint(data, position)
        found.append(number)
    return found


def read(compressed):
    """Reads a profile from the body of a response."""
    strings, functions, locations, samples, single = [], {}, {}, [], {}
    for number, value in fields(gzip.decompress(compressed)):
        if number == STRINGS:
            strings.append(value.decode())
        elif number == FUNCTIONS:
            function = dict(fields(value))
            functions[function[1]] = function[2]
        elif number == LOCATIONS:
            location = dict(fields(value))
            locations[location[1]] = dict(fields(location[4]))[1]
        elif number == SAMPLES:
            sample = dict(fields(value))
            samples.append((numbers(sample.get(1, b"")), numbers(sample[2])[0]))
        else:
            single[number] = value
    stacks = {}
    for ids, count in samples:
        stack = tuple(strings[functions[locations[location]]] for location in reversed(ids))
        stacks[stack] = stacks.get(stack, 0) + count
    return Profile(stacks, single[DURATION] / 1e9, single[PERIOD] / 1e9)
