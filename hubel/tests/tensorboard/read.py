"""Prints the scalars of a TensorBoard event file as JSON: for each tag a list of [step, wall time, value].

    pip install --no-deps -r requirements.txt
    python read.py golden.tfevents > golden.json

It reads with the package `tensorboard` in both of its ways: record by record, and as its server accumulates scalars.
"""
import json
import sys

from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util import tensor_util


def by_record(path):
    version, tags = None, {}
    for event in EventFileLoader(path).Load():
        if event.HasField("file_version"):
            version = event.file_version
        for value in event.summary.value:
            number = tensor_util.make_ndarray(value.tensor).item()
            tags.setdefault(value.tag, []).append([event.step, event.wall_time, number])
    assert version == "brain.Event:2", version
    return tags


def accumulated(path):
    # 0 keeps all values; by default it keeps some of them.
    accumulator = EventAccumulator(path, size_guidance={SCALARS: 0})
    accumulator.Reload()
    tags = accumulator.Tags()[SCALARS]
    return {tag: [[e.step, e.wall_time, e.value] for e in accumulator.Scalars(tag)] for tag in tags}


tags = by_record(sys.argv[1])
assert tags == accumulated(sys.argv[1]), "the two ways differ"
lines = [f"{json.dumps(tag)}: {json.dumps(tags[tag])}" for tag in sorted(tags)]
print("{\n" + ",\n".join(lines) + "\n}")
