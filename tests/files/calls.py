"""What an attacker writes into a pickle."""


def bomb(width=10, depth=12):
    """A list that a few hundred bytes write down, of width**depth numbers."""
    value = [1.0] * width
    for _ in range(depth - 1):
        value = [value] * width
    return value


class Call:
    """Pickles as a call of any function."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced
