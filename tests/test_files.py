"""Files in one piece."""

import pytest

from specksim.files import write_atomically, write_text


def test_the_new_file_or_the_old_one(tmp_path):
    path = tmp_path / "table.csv"
    write_text(path, "Å\n")
    assert path.read_text(encoding="utf-8") == "Å\n"

    def fail(part):
        assert (part.parent, part.suffix) == (tmp_path, ".csv")
        part.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text(encoding="utf-8") == "Å\n"
    assert list(tmp_path.iterdir()) == [path]
