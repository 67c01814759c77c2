"""The one exception for faults that the user, not the program, has to fix."""


class UserError(Exception):
    """A file, key, shape, value or flag is wrong.

    The message is one line: what is wrong, where, what was expected, and what to do. The program prints it
    after `error: ` and exits with status 2. Anything else that is raised is a bug and keeps its traceback.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).split()))
