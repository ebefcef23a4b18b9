"""`pocketface eval`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..model_templates.catalogue import DETECTOR
from .console import print_table, progress, tell
from .json_lines import add_json, print_json
from .labels import ANNOTATIONS, add_classes, labels_of
from .parser import FOREIGN, a_path, fraction, positive_count, size

if TYPE_CHECKING:
    from ..model_templates.contract import Metric


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument(
        "--template", metavar="NAME|FILE", help=f"whose model it is, or is the default ({DETECTOR})"
    )
    parser.add_argument(
        "--load-weights",
        type=a_path,
        metavar="FILE|NAME",
        help="model.xml, model.bin, model.onnx, a .pth or .safetensors, or a template's name; with "
        f"--template also {FOREIGN}",
    )
    parser.add_argument("--test-ann-files", nargs="+", metavar="FILE", help=ANNOTATIONS)
    parser.add_argument(
        "--test-data-roots",
        nargs="+",
        metavar="DIR",
        help="folders of the photos, one for each file or one for all",
    )
    add_classes(parser)
    parser.add_argument(
        "--wider-dir",
        type=a_path,
        metavar="DIR",
        help="WIDER FACE with WIDER_val, wider_face_split and ground_truth: easy, medium, hard",
    )
    parser.add_argument(
        "--save-metrics-to",
        type=a_path,
        metavar="YAML",
        help="metrics, protocol and SHA-256s; an older such file is replaced, no other",
    )
    parser.add_argument(
        "--mistakes-to",
        type=a_path,
        metavar="PNG",
        help="a classifier's mistakes as one picture; an older one is replaced, nothing else",
    )
    parser.add_argument(
        "--input-size",
        type=size,
        metavar="HxW",
        help="instead of the file's, if that is free",
    )
    parser.add_argument(
        "--score-threshold",
        "--score-floor",
        type=fraction,
        metavar="0..1",
        help="lowest score of a face that counts (default 0.02); of a classifier: "
        "lowest score of its second label (default: its own)",
    )
    parser.add_argument("--nms-iou", type=fraction, metavar="0..1", help="instead of the file's")
    parser.add_argument(
        "--max-detections",
        type=positive_count,
        metavar="N",
        help="most faces of a photo that count, the best ones (default 750)",
    )
    parser.add_argument("--runtime", help="for .onnx: onnxruntime (default) or openvino")
    parser.add_argument("--device", default="cpu", help="cpu (default), or what the runtime knows")
    parser.add_argument("--threads", type=positive_count, metavar="N", help="of the runtime")
    add_json(parser, "figure")


def run(args: argparse.Namespace) -> None:
    """Measure, and print the figures."""
    from ..api.evaluate import check_written, evaluate

    labels = labels_of(args, "test", official=args.wider_dir)
    check_written(
        labels,
        given=(args.load_weights, args.template),
        metrics=("--save-metrics-to", args.save_metrics_to),
        mistakes=("--mistakes-to", args.mistakes_to),
    )
    with progress("photos") as on_progress:
        report = evaluate(
            args.template,
            weights=args.load_weights,
            annotations=labels,
            save_metrics_to=args.save_metrics_to,
            mistakes_to=args.mistakes_to,
            input_size=args.input_size,
            score_threshold=args.score_threshold,
            nms_iou=args.nms_iou,
            max_detections=args.max_detections,
            runtime=args.runtime,
            device=args.device,
            threads=args.threads,
            on_progress=on_progress,
        )
    if args.json:
        for metric in report:
            print_json({"model": str(report.model), **metric.model_dump()})
        return
    print_table(
        str(report.model),
        ("key", "metric", "value", "unit"),
        [(metric.key, metric.display_name, _value(metric), metric.unit) for metric in report],
        numbers=(2,),
    )
    if protocol := next((metric.protocol for metric in report), None):
        tell(f"measured with {protocol}")
    for path in (args.save_metrics_to, args.mistakes_to):
        if path is not None:
            tell(f"written: {path}")


def _value(metric: Metric) -> str:
    if metric.value is None:
        return "none"
    return f"{metric.value:.2f}" if metric.unit == "%" else f"{metric.value:g}"
