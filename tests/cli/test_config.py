import os

import pytest

from openwork.cli.config import node_name, read_config
from openwork.errors import DataError

# The configuration of Moffett's quantization tools, with every key.
SEED = """
MODEL:
    graph: './models/resnet50_v1b/graph.onnx'
    params: './models/resnet50_v1b/params.npz'
QUAN:
    strategy: 'symmetry_max_t' # minmax, null, scale_shift, symmetry_max
    qconfig:
        weight_quan: 'perlayer' # perchannel , perlayer
        table: 'calibrations/resnet50_v1b.json'
        image_path: './models/image_for_calibrate'
EVALUATION:
    input_images: './models/image_for_compare'
    label_file: 'models/imagenet_lsvrc_2015_synsets.txt'
    image_file: 'models/imagenet_5000test.list'
    input_node: '0:0'
    output_node: '506:0'
SAVE_PATH: 'pbs/resnet50_v1b_quan.onnx'
"""


def test_every_key_of_the_seed_is_read(tmp_path):
    (tmp_path / "c.yml").write_text(SEED)
    entries = read_config(tmp_path / "c.yml")
    assert entries == {
        "graph": "./models/resnet50_v1b/graph.onnx",
        "params": "./models/resnet50_v1b/params.npz",
        "strategy": "symmetry_max_t",
        "weight_quan": "perlayer",
        "table": "calibrations/resnet50_v1b.json",
        "image_path": "./models/image_for_calibrate",
        "input_images": "./models/image_for_compare",
        "label_file": "models/imagenet_lsvrc_2015_synsets.txt",
        "image_file": "models/imagenet_5000test.list",
        "input_node": "0:0",
        "output_node": "506:0",
        "SAVE_PATH": "pbs/resnet50_v1b_quan.onnx",
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("QUAN:\n  strategie: minmax", "QUAN.strategie is no key of a configuration; the keys are MODEL.graph"),
        ("QUAN: minmax", "QUAN must hold keys and values"),
        ("- 1", "the file must hold keys and values"),
        ("SAVE_PATH: [a]", "SAVE_PATH must be one text"),
        ("QUAN: {strategy: }", "QUAN.strategy has no value; give one, or leave the key out"),
        ("a: b: c", "cannot be read"),
    ],
)
def test_faults_are_told(tmp_path, text, fault):
    (tmp_path / "c.yml").write_text(text)
    with pytest.raises(DataError, match=fault):
        read_config(tmp_path / "c.yml")


def test_every_value_is_text_as_it_is_written(tmp_path):
    """YAML would have no strategy, a number of base 60 and a command to run."""
    text = "QUAN: {strategy: null}\nEVALUATION: {output_node: 506:0}\nMODEL: {graph: !!python/object:os.system x}"
    (tmp_path / "c.yml").write_text(text)
    assert read_config(tmp_path / "c.yml") == {"strategy": "null", "output_node": "506:0", "graph": "x"}


def test_keys_may_be_empty(tmp_path):
    (tmp_path / "c.yml").write_text("MODEL:\n")
    assert read_config(tmp_path / "c.yml") == {}


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_config(tmp_path / "none.yml")


def test_tensorflows_output_index_is_cut_off():
    given = ("506:0", "506", "a:b", "a/b:12", "known:0", "known:1")
    assert [node_name(name, ["known:0"]) for name in given] == ["506", "506", "a:b", "a/b", "known:0", "known"]


@pytest.mark.parametrize("content", ["[" * 20_000, "{a: " * 20_000, "- " * 20_000, "SAVE_PATH: 2001-99-99"])
def test_hostile_yaml(content, tmp_path):
    (tmp_path / "c.yaml").write_text(content)
    try:
        assert read_config(tmp_path / "c.yaml") == {"SAVE_PATH": "2001-99-99"}
    except DataError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000


def test_a_pipe_is_no_configuration(tmp_path):
    os.mkfifo(tmp_path / "c.yaml")
    with pytest.raises(DataError, match="Not a regular file"):
        read_config(tmp_path / "c.yaml")
