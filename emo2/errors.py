"""What can go wrong, in three kinds.

    Exception
     +- InputError (ValueError)   something we cannot use was given: one line, exit code 2
     |   +- MissingCheckpoint     a weight set is not there: names the command that gets it
     +- Cancelled                 somebody pressed Stop: not a failure

Everything else is a bug and keeps its traceback.
"""


class InputError(ValueError):
    """Bad input, said so that it can be put right: argument, rule, value, remedy."""

    def __init__(self, argument: str, rule: str, value: object, remedy: str) -> None:
        self.argument, self.rule, self.value, self.remedy = argument, rule, value, remedy
        super().__init__(f"{argument}: {rule}; got {value}. {remedy}")

    def __reduce__(self) -> tuple:
        # An error of a worker process arrives as it was raised.
        return type(self), (self.argument, self.rule, self.value, self.remedy)


class MissingCheckpoint(InputError):
    """A checkpoint folder, or a file in it, is not there."""


class Cancelled(Exception):
    """Raised inside an `on_step` callback to stop the work that is reporting to it."""
