#!/usr/bin/env python3
"""Writes the files that the reader of `torch.save` is tested with: `tests/python/torch_files.py runtime/tests/torch`. Needs torch."""

import sys
from collections import OrderedDict
from pathlib import Path

import torch


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    weight = torch.arange(6.0).view(2, 3)
    state = OrderedDict(
        weight=torch.nn.Parameter(weight),
        transposed=weight.t(),
        part=weight[1],
        wide=torch.tensor([0.1], dtype=torch.float64),
        half=torch.tensor([1.0, -2.0], dtype=torch.float16),
        counter=torch.tensor(7),
        flags=torch.tensor([True, False, True]),
    )
    torch.save(state, folder / "state_dict.pt")
    net = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    checkpoint = {
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "loss": 0.25,
        "best": True,
        "shape": (2, -70000),
        "dtype": torch.float32,
    }
    torch.save(checkpoint, folder / "checkpoint.pt")
    torch.save(net, folder / "whole_model.pt")
    torch.save({"w": weight}, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    network(folder)


def network(folder):
    """A checkpoint of a network that was trained for a step, with an input and its logits in evaluation mode."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        OrderedDict(
            conv=torch.nn.Conv2d(2, 4, 3, padding=1),
            bn=torch.nn.BatchNorm2d(4),
            relu=torch.nn.ReLU(),
            flatten=torch.nn.Flatten(),
            fc=torch.nn.Linear(4 * 6 * 6, 3),
        )
    ).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    x = torch.randn(2, 2, 6, 6)
    net(x).square().mean().backward()
    optimizer.step()
    with torch.no_grad():
        logits = net.eval()(x)
    checkpoint = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "x": x, "logits": logits}
    torch.save(checkpoint, folder / "network.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
