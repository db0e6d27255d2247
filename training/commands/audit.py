"""The command that finds label errors."""

from argparse import Namespace

from model.files import check_writable
from training.commands.inputs import load_predictor, print_dataset
from training.data.datasets import load_test
from training.data.reports import check_files, write_json
from training.evaluation import audit as audits
from training.evaluation.evaluate import describe_positive_class
from training.evaluation.forward import forward
from training.tables import table

LISTED = 10


def audit(args: Namespace) -> None:
    """Compare labels with the model's predictions; write `audit.csv` and `audit.png`."""
    check_writable(args.out)
    check_files(args.json)
    predictor = load_predictor(args)
    dataset = load_test(args.data, predictor.preprocess)
    pictures, metadata = dataset.pictures, predictor.metadata
    print_dataset(dataset, args.data)
    z, _ = forward(predictor, pictures.images, "auditing")
    result = audits.audit(metadata.probability(z), pictures.labels, audits.validation_error(metadata))
    shown = audits.write_report(args.out, pictures, result, args.show)
    counts = audits.describe_counts(result, pictures.labels)
    print(f"{len(pictures)} pictures. {result.describe()}\n\n{counts}\n")
    if metadata.positive_class_assumed:
        print(describe_positive_class(metadata))
        print("Where these labels are right and look inverted, it is FAKE: give --label-1 FAKE.\n")
    rows = [(f"{result.label_error_probability[i]:.2%}", pictures.names[i]) for i in shown[:LISTED]]
    print(table(rows, ("label wrong", "most likely wrong labels"), "><"))
    print(f"\nall in {args.out / 'audit.csv'}, the first {len(shown)} in {args.out / 'audit.png'}")
    if args.json:
        report = {
            "model_sha256": metadata.digest,
            "data": {"folder": str(args.data), "kind": dataset.kind, "sha256": pictures.digest()},
            **audits.to_json(result, pictures),
        }
        write_json(args.json, report)
