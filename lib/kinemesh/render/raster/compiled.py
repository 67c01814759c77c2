"""Loops over arrays as machine code, made on their first call and kept in a file beside their source."""

import functools
import threading
from collections.abc import Callable

_lock = threading.Lock()


def compiled(function: Callable) -> Callable:
    """The function, of arrays and numbers alone, compiled by Numba; several threads may run it at once."""
    made = []

    @functools.wraps(function)
    def call(*arguments):
        if not made:
            with _lock:
                if not made:
                    made.append(_machine_code(function))
        return made[0](*arguments)

    return call


def _machine_code(function: Callable) -> Callable:
    import numba  # slow to import, and only drawing needs it

    compile_it = functools.partial(numba.njit, function, nogil=True, error_model="numpy")
    try:
        return compile_it(cache=True)
    except RuntimeError:  # nowhere to keep it: neither beside the source nor in the user's folder
        return compile_it()
