"""Commands that answer picture files: `predict`, `explain`, and `infer` in the hackathon's format."""

import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model import predictions
from model.files import check_writable
from training.commands.inputs import load_predictor, print_unreadable
from training.data.errors import DataError
from training.data.reports import check_files, write_json
from training.evaluation import answers
from training.evaluation.answers import Counts, Unreadable
from training.evaluation.evaluate import describe_positive_class
from training.evaluation.explanations import write_explanations
from training.progress import write
from training.submission import infer as inference
from training.submission.origin import Origin, sha256, write_origin

NOTHING_READ = "no picture could be read: give pictures, or folders of them"


def predict(args: Namespace) -> None:
    """Print the answer to each picture file, and the numbers of them for each folder and over all."""
    check_files(args.json)
    predictor = load_predictor(args, args.engine, args.precision)
    print(f"{args.model}, {predictor.info}\n\n{answers.TABLE_HEADER}")
    total = Counts()
    folders: list[tuple[Path, Counts]] = []
    rows: list[dict[str, Any]] = []
    for folder, group in answers.answer_arguments(args.images, predictor):
        counts = Counts()
        for answer in group:
            write(answers.table_row(answer, folder))
            counts.add(answer)
            total.add(answer)
            if args.json:
                rows.append(answer.to_json())
        if folder:
            folders.append((folder, counts))
    print("", *(f"{folder}: {counts.describe()}" for folder, counts in folders), sep="\n")
    print(f"all: {total.describe()}")
    if args.json:
        report = {
            "model_sha256": predictor.metadata.digest,
            "engine": str(predictor.info),
            "files": rows,
            "folders": [{"folder": str(folder), **asdict(counts)} for folder, counts in folders],
            "all": asdict(total),
        }
        write_json(args.json, report)
    if not total.pictures:
        raise DataError(NOTHING_READ)


def explain(args: Namespace) -> None:
    """Write a heat map over each picture."""
    check_writable(args.out)
    predictor = load_predictor(args)
    written = 0
    for path, result in write_explanations(args.images, predictor, args.out, args.size):
        if isinstance(result, Unreadable):
            print_unreadable([(str(path), result.reason)])
        else:
            written += 1
            write(f"{result}")
    if not written:
        raise DataError(NOTHING_READ)
    print(f"{written} heat maps written to {args.out}")


def infer(args: Namespace) -> None:
    """Write `TEAM_prediction.json` for a folder of pictures."""
    team = predictions.validate_team(args.team)
    check_writable(args.out)
    check_files(args.json)
    predictor = load_predictor(args)
    result = inference.infer(args.images, predictor)
    print_unreadable(result.unreadable)
    rows, missing = result.rows, 0
    if args.missing is not None and result.unreadable:
        p_real = args.missing if args.positive_class == "REAL" else 1 - args.missing
        rows, missing = rows + [(name, p_real) for name, _ in result.unreadable], len(result.unreadable)
        print(f"warning: {missing} unreadable pictures have the prediction {args.missing:g}", file=sys.stderr)
    body = predictions.encode(rows, args.positive_class)
    path = predictions.write(args.out, team, body, result.unreadable)
    digest, images = predictor.metadata.digest, str(args.images)
    write_origin(path, Origin(sha256(body), digest, args.positive_class, images, missing))
    print(f"{len(rows)} predictions of P({args.positive_class}) written to {path}")
    print(describe_positive_class(predictor.metadata))
    if args.json:
        report = {
            "predictions": str(path),
            "images": images,
            "model_sha256": digest,
            "engine": str(predictor.info),
            "positive_class": args.positive_class,
            "pictures": len(rows),
            "missing": missing,
            "unreadable": [{"file": name, "reason": reason} for name, reason in result.unreadable],
        }
        write_json(args.json, report)
