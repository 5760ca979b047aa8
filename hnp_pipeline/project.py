"""Which home, which raw folder, which settings: a flag goes before the environment, that before the last run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from hnp_pipeline.errors import SettingsError, TableError
from hnp_pipeline.home import Home
from hnp_pipeline.intake.pseudonym import key_of
from hnp_pipeline.study import Study, load_study, parse_study
from hnp_pipeline.tables import write_text

_DEFAULT_HOME, _DEFAULT_PROFILE = ".hnp", "paper"


@dataclass(frozen=True)
class Project:
    """A study's settings, where it lives, and where its raw exports lie."""

    home: Home
    study: Study
    raw: Path | None
    pseudonym_key: str | None = None  # HNP_PSEUDONYM_KEY; none: the key in the home

    def key(self) -> bytes:
        """The key of the pseudonyms, made at first use, and the same ever after.

        Raises:
            SettingsError: it cannot be had, or is another than the home's pseudonyms were made with.
        """
        return key_of(self.home.root, self.pseudonym_key)

    def collection(self, name: str) -> Path:
        """The folder of a collection's raw exports.

        Raises:
            SettingsError: the raw folder is not known.
            TableError: the collection is gone from it.
        """
        if self.raw is None:
            raise SettingsError("no raw folder: give --raw DIR (or set HNP_RAW)")
        if not (self.raw / name).is_dir():
            raise TableError(
                f"the collection {name} is gone from {self.raw}; its last good version stays in use"
            )
        return self.raw / name


def home_of(environment: Mapping[str, str], home: str | Path | None = None) -> Home:
    """The home that a command means, which need not be there."""
    return Home(Path(home or environment.get("HNP_HOME") or _DEFAULT_HOME).expanduser().resolve())


def resolve(
    environment: Mapping[str, str],
    *,
    home: str | Path | None = None,
    raw: str | Path | None = None,
    profile: str | Path | None = None,
) -> Project:
    """The project that a command means.

    Args:
        environment: os.environ, or what stands for it.
        home, raw, profile: flags; each goes before its variable (HNP_HOME, HNP_RAW, HNP_PROFILE), that before
            the home's `study.yaml`. HNP_EXECUTOR and RAY_API_SERVER_ADDRESS go before the settings, too.

    Raises:
        SettingsError: settings that cannot be used.
    """
    place = home_of(environment, home)
    last_raw, last_study = _last_run(place)
    chosen = profile or environment.get("HNP_PROFILE")
    study = load_study(chosen) if chosen else last_study or load_study(_DEFAULT_PROFILE)
    study = _placed(study, environment)
    folder = raw or environment.get("HNP_RAW") or last_raw
    return Project(
        place,
        study,
        Path(folder).expanduser().resolve() if folder else None,
        environment.get("HNP_PSEUDONYM_KEY") or None,
    )


def _placed(study: Study, environment: Mapping[str, str]) -> Study:
    """The study on the executor and the cluster that the environment names."""
    settings = study.model_dump(mode="json")
    if executor := environment.get("HNP_EXECUTOR"):
        settings["compute"]["executor"] = executor
    if address := environment.get("RAY_API_SERVER_ADDRESS"):
        settings["compute"]["ray"]["address"] = address
    study = parse_study(settings, "HNP_EXECUTOR")
    if study.compute.executor == "ray" and environment.get("HNP_PSEUDONYM_KEY"):
        raise SettingsError(
            "executor: ray shows a step's variables to all who see the cluster: put the key of HNP_PSEUDONYM_KEY"
            " into the file pseudonym.key of the home (mode 0600) and unset the variable"
        )
    return study


def remember(project: Project) -> None:
    """Write settings and raw address into the home, for the other commands, the UI and the next run."""
    content = {
        "raw": str(project.raw) if project.raw else None,
        "study": project.study.model_dump(mode="json"),
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    if not project.home.settings.exists() or project.home.settings.read_text("utf-8") != text:
        write_text(text, project.home.settings)


def _last_run(home: Home) -> tuple[str | None, Study | None]:
    if not home.settings.exists():
        return None, None
    try:
        content = yaml.safe_load(home.settings.read_text("utf-8"))
        return content["raw"], parse_study(content["study"], str(home.settings))
    except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError):
        raise SettingsError(
            f"{home.settings} is damaged: remove it and give --raw and --profile again"
        ) from None
