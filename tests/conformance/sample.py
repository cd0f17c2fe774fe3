#!/usr/bin/env python3
"""Takes a sample of operator cases, in the form in which they are: `tests/conformance/sample.py ../shared/conformance`.

Of each operator it keeps every error case and as many others as fit into a budget: the kinds of case (overload, variant, dtype,
with gradients or without) take turns, the smallest case of each first. The lines of the files are copied as they are.
"""

import json
import shutil
import struct
import sys
from collections import Counter
from pathlib import Path

BUDGET = 9 * 1024
"""Bytes of cases and their tensors that an operator may take; its first case is kept whatever it takes."""


class Tensors:
    """A safetensors file: a length, a JSON header, the elements."""

    def __init__(self, path):
        data = path.read_bytes()
        start = 8 + struct.unpack("<Q", data[:8])[0]
        self.header, self.elements = json.loads(data[8:start]), data[start:]

    def size(self, key):
        begin, end = self.header[key]["data_offsets"]
        return end - begin

    def write(self, path, keys):
        header, elements = {}, b""
        # Wide elements first, so that all are aligned.
        for key in sorted(keys, key=lambda key: (-self.width(key), key)):
            begin, end = self.header[key]["data_offsets"]
            header[key] = {**self.header[key], "data_offsets": [len(elements), len(elements) + end - begin]}
            elements += self.elements[begin:end]
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        path.write_bytes(struct.pack("<Q", len(text)) + text + elements)

    def width(self, key):
        return {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "BOOL": 1}[self.header[key]["dtype"]]


class Case:
    """A line of a file, and the tensors that it names."""

    def __init__(self, case, tensors):
        self.line = json.dumps(case, separators=(",", ":"))
        self.kind = (case["signature"], case.get("variant"), case.get("dtype"), "grads" in case)
        self.keys = {text for text in strings(case) if text in tensors.header}
        self.size = len(self.line) + sum(tensors.size(key) for key in self.keys)


def strings(json_value):
    if isinstance(json_value, str):
        yield json_value
    elif isinstance(json_value, (dict, list)):
        for part in json_value.values() if isinstance(json_value, dict) else json_value:
            yield from strings(part)


def sample(cases):
    """The cases that are kept, in the order of the file."""
    turns, order = Counter(), []
    for case in sorted(cases, key=lambda case: case.size):
        order.append((turns[case.kind], case))
        turns[case.kind] += 1
    kept, left = set(), BUDGET
    for _, case in sorted(order, key=lambda entry: (entry[0], entry[1].size)):
        if case.size <= left or not kept:
            kept.add(case)
            left -= case.size
    return [case for case in cases if case in kept]


def main(source, target):
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in sorted(source.glob("*.json")):
        file, tensors = json.loads(path.read_text()), Tensors(path.with_suffix(".safetensors"))
        cases = sample([Case(case, tensors) for case in file["cases"]])
        errors = [Case(case, tensors) for case in file["errors"]]
        lines = {kind: ",\n".join(case.line for case in some) for kind, some in [("cases", cases), ("errors", errors)]}
        head = f'{{"op": {json.dumps(file["op"])},\n"signatures": {json.dumps(file["signatures"])},\n'
        text = f'{head}"cases": [\n{lines["cases"]}\n],\n"errors": [\n{lines["errors"]}\n]}}\n'
        (target / path.name).write_text(text)
        keys = {key for case in cases + errors for key in case.keys}
        tensors.write(target / path.with_suffix(".safetensors").name, keys)


PROGRAMS = ["optimizers", "lstm", "warp"]
"""The smallest programs: every optimiser, and every kind of run."""


def copy_whole(source, target):
    """Programs and tables are kept as they are."""
    for folder in [source / "tables", *(source / "programs" / name for name in PROGRAMS)]:
        copy = target / folder.relative_to(source)
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)


if __name__ == "__main__":
    main(Path(sys.argv[1]) / "operators", Path(__file__).parent / "operators")
    copy_whole(Path(sys.argv[1]), Path(__file__).parent)
