"""The server-grade detectors' recipes on WIDER FACE, where there are GPUs: train, measure, export.

    pocketface data wider WIDER                # its official folders; writes wider_*.json there
    python tools/train_two_stage_gpu.py WIDER --save-to runs \
        --start faster-rcnn-r50-fpn=R50.pkl faster-rcnn-r101-fpn=R101.pkl \
                retinanet-r101-fpn=RetinaNet.pkl

starts from checkpoints of Detectron2, of COCO or of ImageNet alone, takes all GPUs that are there,
and shares the recipe's batch of 8 (R50: 16) among them, in bfloat16. Of each template it keeps
latest.pth, figures by our protocol and by the published one (scores of 0.7 and more, 100 faces a
photo), files and times.

Without a GPU, a trial of two steps of one photo each, which takes minutes:

    python tools/train_two_stage_gpu.py WIDER --save-to /tmp/trial --trial
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import yaml

from pocketface.model_templates import template_path
from pocketface.models.weights import read_weights

TEMPLATES = ("faster-rcnn-r50-fpn", "faster-rcnn-r101-fpn", "retinanet-r101-fpn")
PROTOCOLS = {"ours": [], "published": ["--score-floor", 0.7, "--max-detections", 100]}
TRIAL_STEPS, TRIAL_PHOTOS = 2, 2


def main() -> None:
    """Train, measure and export each template."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wider", type=Path, metavar="WIDER")
    parser.add_argument("--save-to", type=Path, required=True, metavar="DIR")
    parser.add_argument("--only", nargs="+", choices=TEMPLATES, default=TEMPLATES)
    parser.add_argument("--start", nargs="+", default=[], metavar="TEMPLATE=FILE")
    parser.add_argument("--gpus", type=int, default=torch.cuda.device_count(), metavar="N")
    parser.add_argument("--workers", type=int, default=4, help="processes that cut samples, a GPU")
    parser.add_argument("--gradient-checkpoints", action="store_true", help="for small GPUs")
    parser.add_argument("--trial", action="store_true", help="two steps of one photo each")
    asked = parser.parse_args()
    starts = {name: file for name, _, file in (pair.partition("=") for pair in asked.start)}
    for name, file in starts.items():
        if name not in TEMPLATES or not file:
            parser.error(f"--start {name}: expected TEMPLATE=FILE, of {', '.join(TEMPLATES)}")
    without = [name for name in asked.only if name not in starts]
    if without and not asked.trial:
        parser.error(f"--start: none for {', '.join(without)}, whose first layers never learn")
    if not asked.gpus and not asked.trial:
        parser.error("no GPU here: expected --trial")
    for name in asked.only:
        folder = asked.save_to / name
        folder.mkdir(parents=True, exist_ok=True)
        train(name, folder, asked, start=starts.get(name))
        checkpoint = folder / "run" / "latest.pth"
        labels, root = photos(asked, "val", folder)
        device = "cuda" if asked.gpus else "cpu"
        for protocol, flags in PROTOCOLS.items():
            run("eval", "--load-weights", checkpoint, "--test-ann-files", labels,
                "--test-data-roots", root, "--device", device, *flags,
                "--save-metrics-to", folder / f"{protocol}.yaml")  # fmt: skip
        files = folder / "files"
        run("export", "--load-weights", checkpoint, "--save-model-to", files,
            "--formats", "onnx,openvino", *(["--no-verify"] if asked.trial else []))  # fmt: skip
        devices = "cpu,cuda" if asked.gpus else "cpu"
        run("benchmark", checkpoint, files, "--devices", devices, "--output", folder / "report",
            "--force", *(["--duration", 0.1] if asked.trial else []))  # fmt: skip


def train(name: str, folder: Path, asked: argparse.Namespace, *, start: str | None) -> None:
    """Train a template, or go on where its training was interrupted."""
    template = folder / "template.yaml"
    content = recipe(name, asked)
    template.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    basic = content["hyper_parameters"]["basic"]
    whole = basic["batch_size"]
    if whole % max(1, asked.gpus):
        raise SystemExit(f"--gpus {asked.gpus}: cannot share {whole} photos evenly")
    latest = folder / "run" / "latest.pth"
    if latest.exists():
        if read_weights(latest).epochs >= basic["epochs"]:
            return
        begin: list[object] = ["--resume-from", latest]
    else:
        begin = [] if start is None else ["--load-weights", start]
    labels, root = photos(asked, "train", folder)
    run("train", "--template", template, *begin, "--train-ann-files", labels,
        "--train-data-roots", root, "--save-checkpoints-to", folder / "run",
        "--gpu-num", asked.gpus, "--batch-size", whole // max(1, asked.gpus),
        "--precision", "bf16-mixed" if asked.gpus else "32-true",
        "--workers", asked.workers)  # fmt: skip


def recipe(name: str, asked: argparse.Namespace) -> dict[str, Any]:
    """The template; of a trial with two steps."""
    content: dict[str, Any] = yaml.safe_load(template_path(name).read_text(encoding="utf-8"))
    settings = content["hyper_parameters"]
    settings["gradient_checkpoints"] = asked.gradient_checkpoints
    if asked.trial:
        settings["basic"] |= {
            "batch_size": max(1, asked.gpus),
            "epochs": 1,
            "iterations_per_epoch": TRIAL_STEPS,
        }
    return content


def photos(asked: argparse.Namespace, split: str, folder: Path) -> tuple[Path, Path]:
    """Labels and folder of WIDER's photos; of a trial a few of the validation photos."""
    split = "val" if asked.trial else split
    labels = asked.wider / f"wider_{split}.json"
    if not labels.exists():
        raise SystemExit(f"{labels}: not there; write it by `pocketface data wider {asked.wider}`")
    root = asked.wider / f"WIDER_{split}" / "images"
    if not asked.trial:
        return labels, root
    content = json.loads(labels.read_text(encoding="utf-8"))
    content["images"] = content["images"][:TRIAL_PHOTOS]
    kept = {image["id"] for image in content["images"]}
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] in kept]
    few = folder / "few.json"
    few.write_text(json.dumps(content), encoding="utf-8")
    return few, root


def run(*arguments: object) -> None:
    """Run a command of pocketface as a process, as Lightning starts others like it on each GPU."""
    command = [str(one) for one in arguments]
    print("$ pocketface", *command, flush=True)
    subprocess.run([sys.executable, "-m", "pocketface", *command], check=True)


if __name__ == "__main__":
    main()
