"""How files are written: names, owners, and what killed processes leave behind."""

import contextlib
import errno
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from jlstm.files import temporary, writing

WAYS = [writing.write_bytes, lambda path, content: writing.try_by(path)]
as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be other users"
)
on_linux = pytest.mark.skipif(
    not os.path.exists("/proc/self/stat"), reason="only Linux tells when a process started"
)


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127, "x", "two words.safetensors"])
def test_every_name_that_the_file_system_takes_can_be_written(tmp_path, name):
    writing.try_by(tmp_path / name)
    assert os.listdir(tmp_path) == []
    for content in (b"one", b"two"):
        writing.write_bytes(tmp_path / name, content)
        assert (tmp_path / name).read_bytes() == content
    writing.try_by(tmp_path / name)
    assert (tmp_path / name).read_bytes() == b"two"
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("write", WAYS)
@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("a" * 256, OSError, "File name too long"),
        ("a\0b", ValueError, r"cannot write '.*a\\x00b': file names cannot hold"),
        ("a\ud800b", ValueError, r"cannot write '.*a\\ud800b': file names cannot hold"),
        ("missing/model", FileNotFoundError, "the folder .*missing does not exist; make it"),
        ("file/model", NotADirectoryError, "file is a file, not a folder"),
        ("folder", IsADirectoryError, "it is a folder"),
        ("loop", OSError, "Too many levels of symbolic links"),
        ("read-only", PermissionError, "the file is read-only"),
        ("link", PermissionError, "the file is read-only"),
    ],
)
def test_what_cannot_be_written_is_refused_by_a_trial_too(tmp_path, name, error, words, write):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "read-only").touch(0o444)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "link").symlink_to("read-only")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(error, match=words) as refusal:
        write(tmp_path / name, b"new")
    assert str(tmp_path) in str(refusal.value) and "/." not in str(refusal.value)
    assert sorted(os.listdir(tmp_path)) == before
    assert not (tmp_path / "read-only").read_bytes()


def test_a_name_that_the_file_system_refuses_is_found_by_a_trial(tmp_path, monkeypatch):
    create = os.open

    def refuse(path, *options):
        if ":" in os.fspath(path):
            raise OSError(errno.EINVAL, "Invalid argument", os.fspath(path))
        return create(path, *options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match=f"Invalid argument: '{tmp_path}/a:b'"):
        writing.try_by(tmp_path / "a:b")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_found_by_a_trial_with_what_will_be_written(tmp_path):
    def write(beside):
        beside.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(beside))

    (tmp_path / "model").write_bytes(b"before")
    for way in (writing.write_by, writing.try_by):
        with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/model'"):
            way(tmp_path / "model", write)
    assert os.listdir(tmp_path) == ["model"]
    assert (tmp_path / "model").read_bytes() == b"before"


def test_errors_without_a_number_name_the_file_too(tmp_path):
    def write(beside):
        raise OSError("unable to flush")

    with pytest.raises(OSError, match=f"cannot write {tmp_path}/model: unable to flush"):
        writing.write_by(tmp_path / "model", write)


def test_pipes_and_devices_stay(tmp_path):
    writing.try_by("/dev/null")
    writing.write_bytes("/dev/null", b"all")
    assert not os.path.isfile("/dev/null")


@pytest.mark.full
def test_standard_output_may_be_a_file():
    code = "from jlstm.files import writing; writing.write_bytes('/dev/stdout', b'all')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert (run.stdout, run.stderr) == (b"all", b"")


@pytest.fixture
def shared():
    """A folder that every user may write to."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield pathlib.Path(folder)


@contextlib.contextmanager
def user(number):
    os.setegid(number)
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@as_root
def test_a_file_keeps_its_owner_and_mode(shared):
    path = shared / "model"
    path.write_bytes(b"before")
    os.chown(path, 1234, 1235)
    path.chmod(0o640)
    writing.write_bytes(path, b"after")
    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (1234, 1235, 0o640)
    assert path.read_bytes() == b"after"


@as_root
@pytest.mark.parametrize("write", WAYS)
def test_a_file_of_another_user_does_not_change_hands(shared, write):
    path = shared / "model"
    path.write_bytes(b"before")
    path.chmod(0o666)  # writable to all, but root's
    with user(65534), pytest.raises(PermissionError, match="belongs to user 0 and group 0"):
        write(path, b"after")
    path.chmod(0o644)
    with user(65534), pytest.raises(PermissionError, match="Permission denied"):
        write(path, b"after")
    assert (path.read_bytes(), path.stat().st_uid) == (b"before", 0)
    assert os.listdir(shared) == ["model"]


@as_root
@pytest.mark.parametrize("write", WAYS)
def test_a_folder_that_is_not_writable_is_found_by_a_trial_too(shared, write):
    shared.chmod(0o755)
    with user(65534), pytest.raises(PermissionError, match=f"Permission denied: '{shared}/model'"):
        write(shared / "model", b"new")


WAITING = """
import signal, sys, time
from jlstm.files import writing

def write(beside):
    beside.write_bytes(bytes(1000))
    print(beside.name, flush=True)
    time.sleep(60)

writing.write_by(sys.argv[1], write)
"""


@on_linux
def test_what_a_killed_process_left_is_removed_and_what_a_running_one_writes_is_not(tmp_path):
    command = [sys.executable, "-c", WAITING, str(tmp_path / "model")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        name = process.stdout.readline().strip()
        try:
            assert len(name) < 64 and os.listdir(tmp_path) == [name]
            writing.write_bytes(tmp_path / "other", b"")
            assert sorted(os.listdir(tmp_path)) == [name, "other"]
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    assert sorted(os.listdir(tmp_path)) == [name, "other"]
    writing.write_bytes(tmp_path / "other", b"")
    assert os.listdir(tmp_path) == ["other"]


@on_linux
def test_files_of_other_systems_are_removed_only_when_old(tmp_path):
    own = temporary.name(".keras")
    parts = own.split("-")
    foreign = "-".join([parts[0], "0123456789ab", *parts[2:]])
    # A process of the same number that started before.
    earlier = "-".join([*parts[:3], f"{int(parts[3], 16) - 1:012x}", parts[4]])
    folder = own.replace(parts[4][:8], "00000000")
    strange = ".jlstm-notes.tmp"
    (tmp_path / folder).mkdir()
    for name in (own, foreign, earlier, strange):
        (tmp_path / name).touch()
    now = time.time()
    temporary.remove_left_behind(tmp_path, now)
    assert set(os.listdir(tmp_path)) == {own, foreign, strange, folder}
    temporary.remove_left_behind(tmp_path, now + temporary.OLD - 60)
    assert foreign in os.listdir(tmp_path)
    temporary.remove_left_behind(tmp_path, now + temporary.OLD + 60)
    assert set(os.listdir(tmp_path)) == {own, strange, folder}


@on_linux
def test_processes_of_others_that_are_hidden_count_as_running(tmp_path, monkeypatch):
    monkeypatch.setattr(temporary, "_start", lambda pid: 7 if pid == os.getpid() else None)
    parts = temporary.name().split("-")
    (tmp_path / "-".join([*parts[:2], f"{os.getppid():08x}", *parts[3:]])).touch()

    def kill(pid, number):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "kill", kill)
    temporary.remove_left_behind(tmp_path, 0)
    assert len(os.listdir(tmp_path)) == 1


def test_errors_are_told_with_the_path_first(tmp_path):
    with pytest.raises(OSError) as caught:
        writing.write_bytes(tmp_path / "missing" / "a", b"")
    assert writing.told(caught.value).startswith(f"cannot write {tmp_path}/missing/a: the folder ")
    assert writing.told(OSError("of no path")) == "of no path"
