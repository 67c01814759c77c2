"""What `--check` finds, as a table and as an error."""

from kinemesh.errors import UserError
from kinemesh.program.check.findings import Finding, from_error, table

OK = Finding("ok", "device", "cpu", "2 threads")
MISSING = Finding("missing", "H36M dataset", "data/mesh/mesh_det_h36m.pkl", "data/README.md says where it is from.")
WRONG = Finding("wrong", "precision", "precision: bf16", "not on this device. Set precision: fp32.")


def test_table_fits_120_columns_and_loses_nothing():
    long = Finding("warning", "a name longer than its column is", "folder/" * 20 + "file.pkl", "word " * 60)
    text = table([OK, long, MISSING])
    assert max(map(len, text.splitlines())) <= 120
    assert text.count("word") == 60
    assert text.count("folder/") + text.count("folder\n") >= 15
    assert text.splitlines()[2].split() == ["ok", "device", "cpu", "2", "threads"]


def test_a_fatal_finding_is_the_error_of_a_run_and_names_its_place_once():
    assert MISSING.message().startswith("data/mesh/mesh_det_h36m.pkl not found. data/README.md says")
    assert WRONG.message() == "precision: bf16: not on this device. Set precision: fp32."
    assert from_error(UserError("no place in it."), "model", "x.bin").message() == "no place in it."
    found = from_error(UserError("x.bin: does not fit."), "model", "x.bin")
    assert (found.state, found.where, found.found) == ("wrong", "x.bin", "does not fit.")
