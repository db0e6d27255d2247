"""Commands that make another file of a checkpoint."""

from argparse import Namespace
from pathlib import Path

from model.checkpoint import Checkpoint
from training.data.datasets import load_train
from training.data.errors import DataError
from training.data.fingerprints import copy_fingerprints
from training.data.reports import check_files, torch_writes


def quantise(args: Namespace) -> None:
    """Write a copy of a checkpoint that has int8 ranges."""
    from training.fitting import quantization  # its import takes ten seconds

    check_is_other_file(args.out, args.model)
    check_files(args.out)
    checkpoint = Checkpoint.load(args.model)
    quantization.check_backbone(checkpoint.metadata)
    dataset = load_train(args.data, checkpoint.metadata.preprocess, args.target)
    checkpoint = quantization.quantise(checkpoint, dataset)
    save_copy(checkpoint, args.model, args.out)
    print(quantization.describe(checkpoint.metadata))
    print(f"{args.out} written")


def export(args: Namespace) -> None:
    """Write a checkpoint as a file that needs nothing of this project."""
    from training.export.onnx_export import CHECKED, export_onnx  # imports OpenVINO

    if args.out.resolve() == args.model.resolve():
        raise DataError(f"OUT is the checkpoint that is read, {args.model}: name another file")
    check_files(args.out)
    path = export_onnx(Checkpoint.load(args.model), args.out)
    size = path.stat().st_size / 1e6
    print(f"{path}: {size:.0f} MB, its answers to {CHECKED} pictures checked by onnxruntime")


def check_is_other_file(out: Path, model: Path) -> None:
    """Raise DataError if `--out` is the checkpoint that `--model` names."""
    if out.resolve() == model.resolve():
        raise DataError(f"--out is the same file as --model, {model}: give another file")


def save_copy(checkpoint: Checkpoint, source: Path, out: Path) -> None:
    """Write a checkpoint with the weights of the one at `source`, whose fingerprints it has, too."""
    with torch_writes(out):
        checkpoint.save(out)
    copy_fingerprints(source, checkpoint.metadata.digest, out)
