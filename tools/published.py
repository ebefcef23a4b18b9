"""Other people's checkpoint of a template's network as a weights file of ours.

    python tools/published.py face-detection-0200 face-detection-0200.xml OUT.safetensors [PHOTOS]

`--load-weights` opens such checkpoints itself; this is for tools that want weights of ours. Norms
of OpenVINO's files get the statistics of a folder of photos: see `pocketface.models.unfolded`.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from pocketface.data.images import list_images, read_image
from pocketface.data.preprocess import prepare_batch
from pocketface.tasks.templates import open_template

PHOTOS = 256


def main() -> None:
    """Write the weights as a weights file of ours."""
    from pocketface.models.unfolded import unfold_norms
    from pocketface.models.weights import build_network, read_weights, write_weights
    from pocketface.tasks.describe import contract_for

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("template", help="name or file of the template of its network")
    parser.add_argument("source", type=Path, help="a snapshot.pth, or an .xml, its .bin beside it")
    parser.add_argument("target", type=Path, help="the .safetensors to write")
    parser.add_argument("photos", nargs="?", type=Path, help="a folder, for batch normalisation")
    asked = parser.parse_args()
    template = open_template(asked.template)
    weights = read_weights(asked.source, template=template)
    network = build_network(weights)
    if asked.photos is not None:
        paths = list_images(asked.photos)
        chosen = random.Random(0).sample(paths, min(PHOTOS, len(paths)))
        images = [read_image(path) for path in chosen]
        batch, _ = prepare_batch(images, contract_for(template.spec).input)
        unfold_norms(network, batch)
    write_weights(
        asked.target,
        template_text=template.text,
        state_dict=network.state_dict(),
        epochs=weights.epochs,
        data=weights.data,
    )


if __name__ == "__main__":
    main()
