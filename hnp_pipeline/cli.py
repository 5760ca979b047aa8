"""`hnp`: the commands of the study (design 11)."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hnp_pipeline.errors import SettingsError, StudyError
from hnp_pipeline.vocabulary import NOTICE, TASKS, VIEWS

if TYPE_CHECKING:
    from hnp_pipeline.project import Project
    from hnp_pipeline.study import Imaging


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code: 0 done, 1 a table or a step failed, 2 wrong usage, folder or settings."""
    options = _parser().parse_args(arguments)
    os.umask(0o077)  # what is made here is patients' data
    from hnp_pipeline.project import home_of
    from hnp_pipeline.tables import writing

    try:
        # Whatever cannot be written in the home, or read: a full disk, another user's files.
        with writing(home_of(os.environ, getattr(options, "home", None)).root):
            return options.command(options)
    except SettingsError as error:
        print(f"hnp: {error}", file=sys.stderr)
        return 2
    except StudyError as error:
        print(f"hnp: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `hnp … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hnp", description="Lumbar disc herniation from radiographs, as a pipeline."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    phantom = commands.add_parser("phantom", help="make a synthetic study whose truth is known")
    phantom.add_argument("directory", type=Path, metavar="DIR")
    phantom.add_argument("--patients", type=_positive, default=200, metavar="N")
    phantom.add_argument("--seed", type=int, default=0, metavar="S")
    phantom.add_argument("--signal", choices=["strong", "paper"], default="strong")
    phantom.set_defaults(command=_phantom)

    run = commands.add_parser("run", help="bring the study up to date, from raw exports to the report")
    run.add_argument("--raw", type=Path, metavar="DIR", help="folder of collections")
    _home(run)
    run.add_argument("--profile", metavar="paper|demo|tiny|FILE", help="settings")
    run.add_argument(
        "--until", choices=["cohort", "imaging", "training", "evaluation", "report"], default="report"
    )
    run.add_argument("--wait", action="store_true", help="for another `hnp run` on this home to end")
    run.set_defaults(command=_run)

    readings = commands.add_parser("readings", help="label a table of report texts, as CSV to stdout")
    readings.add_argument("file", type=Path, metavar="FILE")
    readings.add_argument("--text", metavar="COLUMN", help="column of the texts (default: reading)")
    readings.add_argument("--profile", metavar="paper|demo|tiny|FILE", help="settings")
    _home(readings)
    readings.set_defaults(command=_readings)

    predict = commands.add_parser("predict", help="predict for new radiographs of one patient")
    predict.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    predict.add_argument("--task", choices=TASKS, default="level")
    predict.add_argument("--age", type=_age, metavar="YEARS", help="for models that take the age as an input")
    predict.add_argument(
        "--views",
        type=_views,
        metavar="VIEW,…",
        help="of each image in turn, for models that take them (LAT,AP)",
    )
    predict.add_argument(
        "--heatmaps", type=Path, metavar="DIR", help="write a heat map for each image and level"
    )
    _home(predict)
    predict.set_defaults(command=_predict)

    compare = commands.add_parser(
        "compare", help="paired differences between two MLflow runs, with intervals"
    )
    compare.add_argument("runs", nargs=2, metavar="RUN")
    _home(compare)
    compare.set_defaults(command=_compare)

    cache = commands.add_parser("cache", help="list the image caches, their settings and sizes")
    cache.add_argument(
        "--remove-old", action="store_true", help="remove those of other settings than today's"
    )
    cache.add_argument(
        "--verify", action="store_true", help="read all pictures and caches again, and mend what is damaged"
    )
    _home(cache)
    cache.set_defaults(command=_cache)

    ui = commands.add_parser("ui", help="the Dagster UI, the MLflow UI and the report of this home")
    ui.add_argument("--host", default="127.0.0.1")
    ui.add_argument("--port", type=_port, default=3000, help="of the Dagster UI")
    ui.add_argument("--mlflow-port", type=_port, default=5000)
    ui.add_argument("--report-port", type=_port, default=3001)
    _home(ui)
    ui.set_defaults(command=_ui)
    return parser


def _home(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--home", type=Path, metavar="DIR", help="where everything is kept (default: HNP_HOME, else .hnp)"
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number, 1 or more")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError("must be a port from 1 to 65535")
    return int(text)


def _age(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 120:
        raise argparse.ArgumentTypeError("must be a number from 0 to 120, in years")
    return value


def _views(text: str) -> list[str]:
    views = text.split(",")
    if not set(views) <= set(VIEWS):
        raise argparse.ArgumentTypeError(f"must be some of {', '.join(VIEWS)}, with commas between")
    return views


def _phantom(options: argparse.Namespace) -> int:
    from hnp_pipeline.phantom.export import write_phantom
    from hnp_pipeline.progress import throttled

    report = throttled(
        lambda fraction, message: print(f"phantom {100 * fraction:3.0f} % {message}", flush=True), 2
    )
    made = write_phantom(options.directory, options.patients, options.seed, options.signal, report=report)
    print(f"{options.directory}: {'a phantom of these parameters is there already' if not made else 'done'}")
    return 0


def _run(options: argparse.Namespace) -> int:
    from hnp_pipeline.command import run

    return run(options.home, options.raw, options.profile, options.until, options.wait)


def _readings(options: argparse.Namespace) -> int:
    import pyarrow.csv as csv

    from hnp_pipeline.project import resolve
    from hnp_pipeline.readings.table import label_table

    settings = resolve(os.environ, home=options.home, profile=options.profile).study.readings
    csv.write_csv(label_table(options.file, options.text, settings), sys.stdout.buffer)
    return 0


def _predict(options: argparse.Namespace) -> int:
    from hnp_pipeline.prediction import Ensemble
    from hnp_pipeline.project import resolve
    from resources.compute import Compute

    if options.views and len(options.views) != len(options.images):
        raise SettingsError(f"--views names {len(options.views)} views for {len(options.images)} images")
    project = resolve(os.environ, home=options.home)
    study = project.study
    # the device of the evaluation, whose arithmetic the probabilities then share
    device = Compute(study.compute).device()
    ensemble = Ensemble.load(project.home.task(options.task), study.evaluation, study.intake, device)
    found = ensemble.predict_patient(options.images, options.age, options.heatmaps, options.views)
    by_vote = study.evaluation.decision == "majority"
    print(f"{'level':8} {'probability':>11} {'threshold':>9} predicted{'  votes' if by_vote else ''}")
    for row in found:
        cut = "–" if row.threshold is None else f"{row.threshold:.4f}"
        decided = "–" if row.predicted is None else row.predicted
        votes = f"{'':9} {row.votes[0]} of {row.votes[1]}" if row.votes else ""
        print(f"{row.level:8} {row.probability:11.6f} {cut:>9} {decided}{votes}")
    for flag, takes in (("age", ensemble.takes_age), ("views", ensemble.takes_views)):
        given = getattr(options, flag) is not None
        if takes != given:
            print(
                f"--{flag} {'is not used by this model' if given else 'not given: the training mean stands in'}"
            )
    if options.heatmaps:
        print(f"heat maps in {options.heatmaps}")
    print(NOTICE)
    return 0


def _compare(options: argparse.Namespace) -> int:
    from hnp_pipeline.comparison import compare

    return compare(options.home, *options.runs)


def _cache(options: argparse.Namespace) -> int:
    from hnp_pipeline.imaging.cache import remove_old_caches
    from hnp_pipeline.imaging.listing import list_caches
    from hnp_pipeline.project import resolve

    project = resolve(os.environ, home=options.home)
    root, today = project.home.root / "cache", project.study.imaging.hash
    if options.remove_old:
        for gone in remove_old_caches(root, today):
            print(f"removed {gone.collection} {gone.hash}, {gone.bytes / 1e6:,.1f} MB")
    sound = not options.verify or _verified(project)
    for cache in list_caches(root):
        settings = "unreadable settings" if cache.settings is None else _in_words(cache.settings)
        used = "in use" if cache.hash == today else "old"
        print(
            f"{cache.collection}  {cache.hash}  {cache.images:,} images  {cache.bytes / 1e6:,.1f} MB  {used}  {settings}"
        )
    return 0 if sound else 1


def _verified(project: "Project") -> bool:
    """Tell of every collection; whether all is as the study knows it."""
    from hnp_pipeline.imaging.verification import verify_collection
    from hnp_pipeline.progress import throttled
    from resources.compute import Compute

    sound = True
    for path in sorted((project.home.root / "intake").glob("*/files.parquet")):
        name = path.parent.name
        report = throttled(lambda fraction, message: print(f"{100 * fraction:3.0f} % {message}", flush=True))
        found = verify_collection(
            project.collection(name),
            project.home,
            project.study,
            Compute(project.study.compute).threads,
            report,
        )
        print(
            f"{name}: {found.pictures:,} pictures read, {len(found.changed):,} changed unseen; "
            f"{found.cached:,} cached images read, {found.mended:,} mended"
        )
        if found.changed:
            sound = False
            shown = ", ".join(found.changed[:10]) + (", …" if len(found.changed) > 10 else "")
            print(f"  other pictures than the study knows, of the same size and time: {shown}")
            print("  `touch` their files and `hnp run` takes them in")
    return sound


def _in_words(imaging: "Imaging") -> str:
    return ", ".join(f"{k} {v}" for k, v in imaging.model_dump(mode="json").items())


def _ui(options: argparse.Namespace) -> int:
    from hnp_pipeline.command import ui

    return ui(options.home, options.host, options.port, options.mlflow_port, options.report_port)
