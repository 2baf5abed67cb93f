"""Tables as files, and tables of shards."""

import json

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openwork.errors import ArtifactError, CalibrationError, DataError
from openwork.quantization import KL, METHODS, MSE, CalibrationTable, MinMax, MovingAverage, Percentile, calibrate
from tests.quantization.calibration.arrays import ARRAYS, observe
from tests.quantization.networks import batches, residual_network

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


def table_of(make, tensors, samples=1):
    """tensors: name -> arrays."""
    return CalibrationTable(make().method, samples, {name: observe(make(), arrays) for name, arrays in tensors.items()})


@pytest.mark.parametrize("make", METHODS.values())
@given(tensors=st.dictionaries(NAMES, st.lists(ARRAYS, min_size=1, max_size=3), max_size=3), samples=st.integers(0, 9))
@settings(deadline=None, max_examples=20)
def test_a_saved_table_is_loaded_as_it_was(make, tensors, samples, tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "table.json"
    table = table_of(make, tensors, samples)
    table.save(path)
    loaded = CalibrationTable.load(path)
    assert (loaded.method, loaded.samples) == (table.method, samples)
    assert list(loaded.observers) == list(tensors)
    assert loaded.ranges == table.ranges
    text = path.read_bytes()
    loaded.save(path)
    assert path.read_bytes() == text


def test_the_file_is_for_people_too(tmp_path):
    table_of(KL, {"a": [np.arange(-3, 5, dtype=np.float32)], "b": [np.ones(9, np.float32)]}, 7).save(tmp_path / "t")
    content = json.loads((tmp_path / "t").read_text())
    assert list(content) == ["kind", "schema_version", "method", "samples", "tensors"]
    assert (content["method"], content["samples"]) == ("kl", 7)
    assert content["tensors"]["a"]["range"] == [-3, 4]
    lines = (tmp_path / "t").read_text().splitlines()
    assert sum(line.startswith('    "') for line in lines) == 2
    assert max(map(len, lines)) < 600


@pytest.mark.parametrize("make", [MinMax, Percentile, KL, MSE])
def test_tables_of_shards_add_up_to_that_of_all_data(make):
    model = residual_network()
    data = batches(model, 7)
    shards = [calibrate(model, part, make) for part in (data[:1], data[1:5], data[5:])]
    whole = calibrate(model, data, make)
    merged = CalibrationTable.merge(shards)
    assert merged.samples == whole.samples == 7
    assert merged.ranges == whole.ranges
    assert list(merged.observers) == list(whole.observers)
    assert [x.to_json() for x in merged.observers.values()] == [x.to_json() for x in whole.observers.values()]
    assert shards[0].samples == 1
    assert shards[0].ranges == calibrate(model, data[:1], make).ranges


def test_different_tables_do_not_merge():
    ones = [np.ones(2, np.float32)]
    with pytest.raises(CalibrationError, match="tables of minmax and of kl"):
        CalibrationTable.merge([table_of(MinMax, {"a": ones}), table_of(KL, {"a": ones})])
    with pytest.raises(CalibrationError, match="tensor 'b': is not in all tables"):
        CalibrationTable.merge([table_of(MinMax, {"a": ones}), table_of(MinMax, {"a": ones, "b": ones})])
    with pytest.raises(CalibrationError, match="no table"):
        CalibrationTable.merge([])
    with pytest.raises(CalibrationError, match="momentum"):
        CalibrationTable.merge([table_of(lambda m=m: MovingAverage(m), {"a": ones}) for m in (0.5, 0.25)])


def damaged(change):
    content = {
        "kind": "openwork.calibration",
        "schema_version": 1,
        "method": "minmax",
        "samples": 3,
        "tensors": {"a": {"range": [0, 1], "low": 0, "high": 1}},
    }
    change(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is no JSON"),
        ("{", "is no JSON"),
        ("\xff\xfe", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "is no calibration table"),
        ("null", "is no calibration table"),
        ('{"kind": "other"}', "is no calibration table"),
        (damaged(lambda c: c.update(schema_version=2)), "has schema_version 2"),
        (damaged(lambda c: c.update(method="best")), "is damaged"),
        (damaged(lambda c: c.update(method=["minmax"])), "is damaged"),
        (damaged(lambda c: c.update(samples=-1)), "is damaged"),
        (damaged(lambda c: c.update(samples="3")), "is damaged"),
        (damaged(lambda c: c.update(tensors=[])), "is damaged"),
        (damaged(lambda c: c.update(tensors={"a": 3})), "is damaged"),
        (damaged(lambda c: c.update(tensors={"a": {}})), "is damaged"),
        (damaged(lambda c: c["tensors"]["a"].update(low=2)), "is damaged"),
        (damaged(lambda c: c["tensors"]["a"].update(low=None)), "is damaged"),
        (damaged(lambda c: c["tensors"]["a"].update(high="wide")), "is damaged"),
        (damaged(lambda c: c["tensors"]["a"].update(high=float("inf"))), "is damaged"),
        (damaged(lambda c: c.update(method="moving_average")), "is damaged"),
        (damaged(lambda c: c.update(method="kl")), "is damaged"),
    ],
)
def test_what_is_no_table_is_refused(text, reason, tmp_path):
    path = tmp_path / "t.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=reason) as error:
        CalibrationTable.load(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize("make", [MinMax, KL])
def test_no_changed_or_cut_byte_does_harm(make, tmp_path):
    path = tmp_path / "t.json"
    table_of(make, {"a": [np.arange(-3, 5, dtype=np.float32)]}).save(path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for place in range(len(whole)):
        changed = whole[:place] + bytes([rng.integers(256)]) + whole[place + 1 :]
        for content in (whole[:place], changed):
            path.write_bytes(content)
            try:
                assert all(low <= high for low, high in CalibrationTable.load(path).ranges.values())
            except (DataError, CalibrationError):
                refused += 1
    assert refused > 1.5 * len(whole)


def test_missing_files_and_places_that_cannot_be_written(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        CalibrationTable.load(tmp_path / "none.json")
    with pytest.raises(DataError, match="cannot be read"):
        CalibrationTable.load(tmp_path)
    with pytest.raises(ArtifactError, match="cannot be written"):
        table_of(MinMax, {"a": [np.ones(1, np.float32)]}).save(tmp_path)


def test_ranges_come_in_graph_order():
    model = residual_network()
    names = [str(value.name) for value in ir.traversal.RecursiveGraphIterator(model.graph) for value in value.outputs]
    found = [name for name in calibrate(model, batches(model, 1)).ranges if name != "image"]
    assert found == [name for name in names if name in found]
