"""A record's bytes are cut where its sections are, and what was edited is never taken for sound."""

import json

import pytest
from make_records import make_failed, make_record

from benchmark.records import record
from benchmark.records import seal as sealed
from benchmark.records.seal import BEYOND_COLUMNS, opened, read_opened


def without(document, skip):
    """The same by parsing all of it."""
    kept = {key: value for key, value in document.items() if key not in skip and key != "content_sha256"}
    for path in skip:
        section, _, name = path.partition(".")
        if name and section in kept:
            kept[section] = {key: value for key, value in kept[section].items() if key != name}
    return kept


RECORDS = {
    "clean": make_record,
    "attacked": lambda: make_record(workload="same"),
    "untimed": lambda: make_record(latency={}),
    "failed": make_failed,
    "one exit": lambda: make_record(config={"text": 'a \n "curve": b', "curve": {"x": list(range(60))}}),
}


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize(
    "skip",
    [(), ("raw",), BEYOND_COLUMNS, ("raw", "record_id", "latency"), ("results.protocol", "results.accuracy", "seeds")],
)
def test_cutting_is_parsing_and_leaving_out(tmp_path, name, skip):
    content = record.write(RECORDS[name](), tmp_path).read_bytes()
    found = opened(content, skip)
    assert json.loads(found.text) == without(json.loads(content), skip)
    assert found.seal == json.loads(content)["content_sha256"]


def test_every_entry_of_every_section_can_be_left_out(tmp_path):
    content = record.write(make_record(workload="same"), tmp_path).read_bytes()
    document = json.loads(content)
    paths = [(name,) for name in document if name not in ("content_sha256", "raw")]
    paths += [(f"{name}.{inner}",) for name, value in document.items() if isinstance(value, dict) for inner in value]
    for skip in paths:
        # An entry of a section on one line stays: leaving it out would save nothing.
        wanted, found = without(document, skip), json.loads(opened(content, skip).text)
        short = len(json.dumps(document[skip[0].partition(".")[0]])) <= 100
        assert found == wanted or ("." in skip[0] and short)


def test_a_buffer_longer_and_shorter_than_the_file(tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(sealed.sealed(b' "a": 1\n}\n'))
    large.write_bytes(sealed.sealed(b' "a": [' + b"1, " * 1_500_000 + b"1]\n}\n"))
    for path in (large, small, large):
        assert read_opened(path) == opened(path.read_bytes())
        assert read_opened(path).seal


def test_one_changed_byte_breaks_the_seal(tmp_path):
    path = record.write(make_record(), tmp_path)
    content = path.read_bytes()
    assert opened(content, ("raw",)).seal
    for place in (30, 100, len(content) // 2, len(content) - 3):
        broken = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        assert opened(broken, ("raw",)).seal == ""


def test_translated_line_ends_are_no_edit(tmp_path):
    content = record.write(make_record(), tmp_path).read_bytes()
    assert opened(content.replace(b"\n", b"\r\n"), BEYOND_COLUMNS) == opened(content, BEYOND_COLUMNS)
