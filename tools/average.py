"""The mean of two weights files of one network, one of which was trained on from the other.

    python tools/average.py BEFORE AFTER --output FILE.safetensors

Fine-tuning for rarer cases costs a little of the common ones; halfway there is often better than
either end (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"). All that the file says
besides its tensors is AFTER's. Its folder gets a receipt.yaml, which holds those of the two.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

from pocketface.errors import UserError
from pocketface.files import atomic_write
from pocketface.models.weights import Weights, read_weights, write_weights
from pocketface.places import check_not_read
from pocketface.tools.running import ended

RECEIPT = "receipt.yaml"


def main() -> None:
    """Average the two files, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="in a folder of its own")
    asked = parser.parse_args()
    receipt = asked.output.with_name(RECEIPT)
    if receipt.exists():  # of a training, or of another average
        raise UserError(f"--output {asked.output}: expected a folder without {RECEIPT}")
    check_not_read(asked.output, "--output", [asked.before, asked.after])
    before, after = read_weights(asked.before), read_weights(asked.after)
    for one in (before, after):
        if one.hooks is not None:
            raise UserError(
                f"{one.path}: has quantizers, which have no mean: expected float weights"
            )
    if not before.template.architecture.makes_same_network(after.template.architecture):
        raise UserError(f"{asked.before} and {asked.after} are of different networks")
    content = yaml.safe_dump({"mean_of": [_told(before), _told(after)]}, sort_keys=False)
    write_weights(
        asked.output,
        template_text=after.template_text,
        state_dict={
            name: (before.state_dict[name] + tensor) / 2 if tensor.is_floating_point() else tensor
            for name, tensor in after.state_dict.items()
        },
        epochs=after.epochs,
        data=after.data,
        seed=after.seed,
    )
    with atomic_write(receipt, "w") as file:
        file.write(content)


def _told(weights: Weights) -> dict[str, Any]:
    """A file by name and digest, with the receipt beside it if there is one."""
    told: dict[str, Any] = {"file": weights.path.name, "sha256": weights.sha256}
    receipt = weights.path.with_name(RECEIPT)
    if receipt.is_file():
        told["receipt"] = yaml.safe_load(receipt.read_text(encoding="utf-8"))
    return told


if __name__ == "__main__":
    ended(main)
