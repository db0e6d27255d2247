"""The command that packs the hackathon's submission."""

import sys
from argparse import Namespace

from model import predictions
from model.files import check_writable
from training.data import hackathon
from training.data.errors import DataError
from training.data.labelled_images import picture_files
from training.submission.consistency import check_consistency
from training.submission.package import build_zip, check_predictions, read_run


def submission(args: Namespace) -> None:
    """Write the ZIP of a team's predictions, with README, model card, slides, plots and notebooks."""
    team = predictions.validate_team(args.team)
    check_writable(args.out)
    tree = hackathon.get_tree(args.data)
    if tree.test is None:
        raise DataError(f"{args.data} has no test_images/")
    path = args.out / f"{team}_prediction.json"
    if not path.is_file():
        raise DataError(f"there is no {path}: `infer {tree.test} --team {team}` writes it")
    expected = [file.name for file in picture_files(tree.test)]
    archive, content = args.out / f"{team}_submission.zip", path.read_bytes()
    report = read_run(args.folder)
    rows = check_predictions(content, expected)
    remarks = check_consistency(path, content, args.folder, report, tree.test, args.force)
    for remark in remarks:
        print(f"warning: {remark}", file=sys.stderr)
    build_zip(archive, team, content, rows, report, args.folder, args.data, remarks)
    print(f"{archive}: predictions for all {len(expected)} test pictures, and what its README lists")
