"""Compiled loops give what they give uncompiled, wherever their source lies and however many threads begin at once."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from kinemesh.render.raster.compiled import compiled


def squares(values, out):
    """Of each."""
    for i in range(len(values)):
        out[i] = values[i] * values[i]


def test_it_gives_what_the_function_gives_also_in_several_threads():
    values = np.arange(1000.0)
    function = compiled(squares)
    assert (function.__name__, function.__doc__) == ("squares", "Of each.")

    def ran(_) -> np.ndarray:
        out = np.zeros_like(values)
        function(values, out)
        return out

    with ThreadPoolExecutor(4) as executor:
        for found in executor.map(ran, range(8)):
            np.testing.assert_array_equal(found, values**2)


def test_where_nothing_can_be_kept_it_is_compiled_anew():
    """A source that is in no file has no folder beside it, as one that nobody may write to."""
    names = {}
    exec("def doubled(values):\n    return 2 * values.sum()", names)
    assert compiled(names["doubled"])(np.arange(4.0)) == 12
