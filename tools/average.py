"""The mean of two weights files of one network, one of which was trained on from the other.

    python tools/average.py BEFORE AFTER --output FILE.safetensors

Fine-tuning for rarer cases costs a little of the common ones; halfway there is often better than
either end (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"). All that the file says
besides its tensors is AFTER's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pocketface.models.weights import read_weights, write_weights


def main() -> None:
    """Average the two files, and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    before, after = read_weights(asked.before), read_weights(asked.after)
    if not before.template.architecture.makes_same_network(after.template.architecture):
        parser.error(f"{asked.before} and {asked.after} are of different networks")
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


if __name__ == "__main__":
    main()
