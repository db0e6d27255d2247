"""The errors that the command line reports in one sentence."""


class TrainingError(Exception):
    """Something that whoever runs a command can mend; the message says what was wrong and what to do."""


class DataError(TrainingError):
    """The data cannot be used for training or evaluation; the message has the reason."""
