"""What the user is told when something they gave cannot be used. Never holds a patient's identity."""


class StudyError(Exception):
    """Base of the errors whose message is written for the user: print it, without a traceback."""


class SettingsError(StudyError):
    """A settings file, a folder or an option cannot be used (exit code 2)."""


class TableError(StudyError):
    """A table of a collection cannot be used, so the collection is left out of this run (exit code 1).

    The message names the collection, the table, the column and what was found.
    """


class StepError(StudyError):
    """A step cannot be done with what it was given (exit code 1); the message says what to do."""
