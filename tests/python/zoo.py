#!/usr/bin/env python3
"""What torchvision says of the models in Kiln's zoo. Needs torch, torchvision and safetensors.

`zoo.py keys > tests/fixtures/state_dict_keys.txt`: the names and shapes of each state_dict, a line each.

`zoo.py logits FOLDER`: randomly initialised models as `<name>.pth` and `<name>.safetensors`, with normalisation statistics that are not those of the start, and
`<name>.logits.safetensors` with images `x` and what the model answers, `logits`, in evaluation mode. Then
`cargo run --release -p kiln-tests --bin zoo -- FOLDER` compares.
"""

import sys
from pathlib import Path

import torch
import torchvision
from safetensors.torch import save_file

MODELS = ["resnet18", "resnet50", "vgg16", "vgg11_bn", "alexnet", "mobilenet_v2"]
EXTENT = {"alexnet": 224, "vgg16": 64, "vgg11_bn": 64}
SAMPLES = 2


def keys():
    for name in MODELS:
        for key, tensor in getattr(torchvision.models, name)().state_dict().items():
            print(name, key, list(tensor.shape))


def logits(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(MODELS):
        torch.manual_seed(seed)
        model = getattr(torchvision.models, name)()
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.running_mean.normal_(0.0, 0.1)
                    module.running_var.uniform_(0.5, 1.5)
                    module.weight.uniform_(0.5, 1.5)
                    module.bias.normal_(0.0, 0.1)
        extent = EXTENT.get(name, 128)
        x = torch.randn(SAMPLES, 3, extent, extent)
        with torch.no_grad():
            answer = model.eval()(x)
            exact = model.double()(x.double())
            model.float()
        torch.save(model.state_dict(), folder / f"{name}.pth")
        save_file({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, folder / f"{name}.safetensors")
        save_file({"x": x, "logits": answer, "exact": exact}, folder / f"{name}.logits.safetensors")
        print(name, "largest error of PyTorch's own float32:", (answer - exact).abs().max().item())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["keys"]:
            keys()
        case ["logits", folder]:
            logits(Path(folder))
        case _:
            sys.exit(__doc__)
