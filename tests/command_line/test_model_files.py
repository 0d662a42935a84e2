"""What commands do with the files of models and with runs: refuse, leave out, replace."""

import jax
import pytest

import jlstm
from tests.command_line.tables import NETWORK, TRAIN


def test_a_model_that_is_not_there_cannot_be_evaluated(jlstm_at, tmp_path):
    (tmp_path / "folder").mkdir()
    assert "folder has no model.safetensors" in jlstm_at("eval", "folder")[2]
    assert "cannot read nothing" in jlstm_at("eval", "nothing")[2]


def test_a_network_without_a_task_cannot_be_evaluated(jlstm_at):
    config = jlstm.Config.stack(8, [4])
    jlstm.save("model", config, jlstm.init(jax.random.key(0), config))
    code, _, err = jlstm_at("eval", "model")
    assert code == 2 and "no task that it was trained for" in err


def test_what_a_file_holds_beside_the_network_is_left_out_only_if_told(jlstm_at, tmp_path):
    config = jlstm.Config.stack(8, [4])
    extra = {"head": jax.numpy.ones(3)}
    jlstm.save("m.safetensors", config, jlstm.init(jax.random.key(0), config), extra=extra)
    for words in (["convert", "m.safetensors", "m.npz"], ["export", "m.safetensors", "m.jax"]):
        code, out, err = jlstm_at(*words)
        assert code == 2 and not out and err.count("\n") == 1
        assert "also holds head" in err and "--network-only" in err
        assert not (tmp_path / words[-1]).exists()
        assert jlstm_at(*words, "--network-only")[0] == 0
        assert (tmp_path / words[-1]).exists()


def test_a_program_says_what_it_replaces_and_does_not_replace_its_model(jlstm_at, tmp_path):
    config = jlstm.Config.stack(8, [4])
    jlstm.save("m.safetensors", config, jlstm.init(jax.random.key(0), config))
    for replaced in (False, True):
        code, out, _ = jlstm_at("export", "m.safetensors", "m.jax", "--platforms", "cpu")
        assert code == 0 and ("The file existed and was replaced." in out) == replaced
    (tmp_path / "link").symlink_to("m.safetensors")
    code, out, err = jlstm_at("export", "m.safetensors", "link")
    assert code == 2 and not out and "m.safetensors would be replaced by its own program" in err
    assert jlstm.load("m.safetensors")[0] == config
    (tmp_path / "m.jax").chmod(0o444)
    code, out, err = jlstm_at("export", "m.safetensors", "m.jax")
    assert code == 2 and not out and "the file is read-only" in err


@pytest.mark.full
def test_a_run_is_replaced_only_if_told(jlstm_at, tmp_path):
    (tmp_path / "c.toml").write_text(NETWORK + TRAIN + "steps = 1\n")
    assert jlstm_at("train", "c.toml")[0] == 0
    before = (tmp_path / "runs" / "digits" / "model.safetensors").read_bytes()
    code, out, err = jlstm_at("train", "c.toml")
    assert code == 2 and not out and err.count("\n") == 1
    assert err.startswith("jlstm: runs/digits holds a run of this config already")
    assert "add --resume to go on with it, --overwrite to begin anew" in err
    assert jlstm_at("train", "c.toml", "--overwrite", "--json")[0] == 0
    after = (tmp_path / "runs" / "digits" / "model.safetensors").read_bytes()
    assert after == before, "one seed gives the same bytes"
