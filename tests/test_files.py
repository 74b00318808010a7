"""Reading is strict and names every fault with its line; writing is canonical, atomic and private."""

import json
import math
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit import files
from toolkit.errors import DiskError, InvalidDataError, UnusableAnswerError, UsageError
from toolkit.spans import Annotation, Document, Span, Zone, is_storable


@dataclass(frozen=True)
class Dish:
    """What a menu lists."""

    name: str
    hot: bool = False


@dataclass(frozen=True)
class Menu:
    """One field of each shape our files have."""

    name: str
    dishes: tuple[Dish, ...] = ()
    tags: tuple[str, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)
    price: float = 1.0


def faults_of(call, path, *rest, **more):
    """The faults a reader raises, without the path, one string each."""
    with pytest.raises(InvalidDataError) as caught:
        call(path, *rest, **more)
    assert caught.value.exit_code == 3
    return [str(fault).removeprefix(str(path)) for fault in caught.value.faults]


@pytest.fixture
def yaml(tmp_path):
    """Write bytes or text as YAML and give the faults of reading it as a menu."""

    def faults(content):
        path = tmp_path / "menu.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return faults_of(files.read_yaml, path, Menu)

    return faults


@pytest.fixture
def jsonl(tmp_path):
    """Write lines and give the path."""

    def write(content):
        path = tmp_path / "records.jsonl"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


# ── YAML ────────────────────────────────────────────────────────────────────────────────────────


def test_yaml_becomes_typed_values(tmp_path):
    """A menu in YAML is a `Menu`, lists are tuples, and left out keys have their defaults."""
    path = tmp_path / "menu.yaml"
    path.write_text(
        'name: lunch\ndishes:\n  - {name: soup, hot: true}\n  - name: "NO"\ntags: [2020-01-02, "12:30"]\n'
    )
    assert files.read_yaml(path, Menu) == Menu(
        "lunch", (Dish("soup", hot=True), Dish("NO")), ("2020-01-02", "12:30")
    )


def test_a_byte_order_mark_before_yaml_is_no_part_of_it(tmp_path):
    """Some editors write one; the first key is still the first key."""
    path = tmp_path / "menu.yaml"
    path.write_bytes("\ufeffname: lunch\n".encode())
    assert files.read_yaml(path, Menu) == Menu("lunch")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(
            "name: a\nname: b\n",
            [":2: the key 'name' stands twice; keep one of the two"],
            id="duplicate key",
        ),
        pytest.param(
            "name: a\ndishes:\n  - name: b\n    hot: true\n    name: c\n",
            [":5: the key 'name' stands twice; keep one of the two"],
            id="duplicate key inside",
        ),
        pytest.param(
            "name: &x a\ntags: [b,\n  *x]\n",
            [":3: the alias *x; write the value out"],
            id="alias",
        ),
        pytest.param(
            "name: NO\ntags:\n  - yes\n  - off\n",
            [
                ':1: YAML reads NO as true or false, not as a word; write "NO" in quotes',
                ':3: YAML reads yes as true or false, not as a word; write "yes" in quotes',
                ':4: YAML reads off as true or false, not as a word; write "off" in quotes',
            ],
            id="words read as booleans",
        ),
        pytest.param(
            "name: true\n",
            [":1: name: text belongs here; the word was read as true: write it in quotes"],
            id="true as a name",
        ),
        pytest.param(
            "name: 1.5\n",
            [':1: name: text belongs here; write "1.5" in quotes'],
            id="number as a name",
        ),
        pytest.param(
            "name: a\ntags: [12:30]\n",
            [":2: cannot read '12:30' as plain text or number; put it in quotes"],
            id="a time counted in sixties",
        ),
        pytest.param(
            "name: a\ntags: [017]\n",
            [
                ":2: cannot read '017' as plain text or number; put it in quotes",
            ],
            id="a number counted in eights",
        ),
        pytest.param(
            "name: !!python/name:os.system x\n",
            [":1: cannot read 'x' as plain text or number; put it in quotes"],
            id="tag on a word",
        ),
        pytest.param(
            "name: a\ntags: !!python/object/apply:os.system [x]\n",
            [":2: the tag !!python/object/apply:os.system; remove it"],
            id="tag on a list",
        ),
        pytest.param(
            "name: a\nnotes: !mine {x: y}\n",
            [":2: the tag !mine; remove it"],
            id="tag on a mapping",
        ),
        pytest.param(
            "name: a\ntags:\n\t- b\n",
            [":3: found character '\\t' that cannot start any token; mend the YAML"],
            id="tab",
        ),
        pytest.param(
            "name: a\n---\nname: b\n",
            [":2: found another document; mend the YAML"],
            id="two documents",
        ),
        pytest.param(
            "name: a\nta\0gs: []\n", [":2: the control character #x0000; remove it"], id="NUL"
        ),
        pytest.param(
            'name: a\ntags: ["\\ud800"]\n',
            [":2: a lone surrogate, which is no character; remove it"],
            id="lone surrogate",
        ),
        pytest.param(
            "? [a]\n: b\nname: a\n",
            [":1: a list or mapping as a key; use a word"],
            id="list as key",
        ),
        pytest.param(
            b"name: a\ntags: [\xff]\n",
            [":2: byte 15 is not UTF-8 (0xff); save the file as UTF-8"],
            id="invalid UTF-8",
        ),
        pytest.param("", [": empty; write its keys and values"], id="empty"),
        pytest.param("# only this\n", [": empty; write its keys and values"], id="only a comment"),
        pytest.param(
            "- a\n",
            [":1: the file: a mapping of keys to values belongs here; mend it (found a list)"],
            id="a list",
        ),
        pytest.param(
            "lunch\n",
            [":1: the file: a mapping of keys to values belongs here; mend it (found 'lunch')"],
            id="a word",
        ),
        pytest.param("dishes: []\n", [":1: name: Field required; add it"], id="missing key"),
        pytest.param(
            "name: a\ntags: b\n",
            [":2: tags: a list belongs here; mend it (found 'b')"],
            id="a word for a list",
        ),
        pytest.param(
            "name:\n", [":1: name: text belongs here; mend it (found nothing)"], id="no value"
        ),
        pytest.param(
            "name: a\ntags: " + "[" * 33 + "]" * 33 + "\n",
            [":2: nested too deep; mend the YAML"],
            id="nested too deep",
        ),
    ],
)
def test_yaml_fault(yaml, content, expected):
    """Each fault is one line with its place, the fault and the cure."""
    assert yaml(content) == expected


def test_unknown_yaml_keys_are_named_at_any_depth_where_they_stand(yaml):
    """The line is that of the key, also when its value begins on the next."""
    content = "name: a\ncolour: red\ndishes:\n  - name: b\n  - name: c\n    sauce:\n      x: y\n"
    assert yaml(content) == [
        ":2: colour: unknown key; remove it or mend its spelling",
        ":6: dishes.1.sauce: unknown key; remove it or mend its spelling",
    ]


def test_yaml_faults_of_every_kind_are_listed_together_by_line(yaml):
    """One run shows all there is to mend: words, keys, types."""
    content = (
        "nam: a\ntags: [NO]\ndishes:\n  - {name: b, hot: 7}\n  - {name: b, name: c}\nprice: dear\n"
    )
    assert [fault.split(";")[0] for fault in yaml(content)] == [
        ":1: nam: unknown key",
        ":1: name: Field required",
        ":2: YAML reads NO as true or false, not as a word",
        ":4: dishes.0.hot: Input should be a valid boolean, unable to interpret input",
        ":5: the key 'name' stands twice",
        ":6: price: Input should be a valid number, unable to parse string as a number",
    ]


@pytest.mark.parametrize("letter", ["x", "é"])
def test_yaml_beyond_a_mebibyte_is_refused(yaml, letter):
    """The limit counts bytes, whatever the letters."""
    content = (b"name: a # " + letter.encode() * (1 << 20))[: (1 << 20) + 1]
    assert yaml(content) == [": larger than 1,048,576 bytes; split it"]


def test_a_text_as_long_as_its_limit_is_read(tmp_path):
    """The limit itself is allowed; one byte more is not."""
    path = tmp_path / "x.txt"
    path.write_text("né")
    assert files.read_text(path, limit=3) == "né"
    assert faults_of(files.read_text, path, limit=2) == [": larger than 2 bytes; split it"]


def test_read_yaml_lines_tells_where_each_value_stands(tmp_path):
    """Keys and positions lead to a line: of the key, or of the list's entry."""
    path = tmp_path / "menu.yaml"
    path.write_text("name: a\ndishes:\n  - name: b\n  - hot: true\n    name: c\n")
    _, lines = files.read_yaml_lines(path, Menu)
    wanted = [(), ("name",), ("dishes",), ("dishes", 0), ("dishes", 1), ("dishes", 1, "name")]
    assert [lines[place] for place in wanted] == [1, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "menu",
    [
        Menu("lunch"),
        Menu("NO", (Dish("yes"), Dish("12:30", hot=True)), ("null", "1.5", "", "é – ☕")),
        Menu("multi\nline: text\n", notes={"off": "on", "017": "~"}, price=2.5),
    ],
    ids=["plain", "words YAML misreads", "odd text"],
)
def test_yaml_that_was_written_reads_back(tmp_path, menu):
    """What `write_yaml` quotes, `read_yaml` takes as it was."""
    path = tmp_path / "menu.yaml"
    files.write_yaml(path, menu)
    assert files.read_yaml(path, Menu) == menu


# ── JSON Lines ──────────────────────────────────────────────────────────────────────────────────

GOOD = '{"document":"d1"}'


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("", "blank line; mend the line", id="blank"),
        pytest.param("  ", "blank line; mend the line", id="white space"),
        pytest.param("[1]", "not a JSON object; mend the line", id="list"),
        pytest.param(
            '{"document":"a"',
            "not JSON at column 16: Expecting ',' delimiter; mend the line",
            id="cut off",
        ),
        pytest.param(
            '\ufeff{"document":"a"}',
            "not JSON at column 1: Unexpected UTF-8 BOM (decode using utf-8-sig); mend the line",
            id="byte order mark",
        ),
        pytest.param(
            '{"document":"a","document":"b"}',
            "the key 'document' stands twice; mend the line",
            id="duplicate key",
        ),
        pytest.param(
            '{"document":"a","lead_time":NaN}', "NaN is not JSON; mend the line", id="NaN"
        ),
        pytest.param(
            '{"document":"a","lead_time":-Infinity}',
            "-Infinity is not JSON; mend the line",
            id="infinity",
        ),
        pytest.param(
            '{"document":"a","lead_time":1e999}',
            "1e999 is too large a number; mend the line",
            id="a number that becomes infinity",
        ),
        pytest.param(
            '{"document":"a\\ud800"}',
            "a lone surrogate, which is no character;"
            " remove it: Label Studio cannot export a project that holds one",
            id="lone surrogate",
        ),
        pytest.param(
            '{"document":"a","spans":[{"start":0,"end":1,"label":"X","colour":"red"}]}',
            "unknown key 'colour'; known are start, end, label, id, text, attributes; mend the line",
            id="unknown key inside",
        ),
        pytest.param(
            '{"document":7}',
            "Expected `str`, got `int` - at `$.document`; mend the line",
            id="wrong type",
        ),
        pytest.param(
            '{"document":"a","spans":[{"start":1.0,"end":1,"label":"X"}]}',
            "Expected `int`, got `float` - at `$.spans[0].start`; mend the line",
            id="offset with a fraction",
        ),
        pytest.param(
            '{"document":"a","spans":[{"start":true,"end":1,"label":"X"}]}',
            "Expected `int`, got `bool` - at `$.spans[0].start`; mend the line",
            id="offset true",
        ),
        pytest.param(
            "{}", "Object missing required field `document`; mend the line", id="missing key"
        ),
        pytest.param('{"a":' + "[" * 99999, "nested too deep; mend the line", id="nested too deep"),
    ],
)
def test_jsonl_fault(jsonl, line, expected):
    """A bad line is named by number, with the fault and the cure; good lines are not."""
    path = jsonl(f"{GOOD}\n{line}\n{GOOD}\n")
    assert faults_of(files.read_jsonl, path, Annotation) == [f":2: {expected}"]


def test_jsonl_names_the_byte_that_is_not_utf8(jsonl):
    """The byte counts from the start of the file."""
    path = jsonl(GOOD.encode() + b'\n{"document":"\xe9t\xe9"}\n')
    assert faults_of(files.read_jsonl, path, Annotation) == [
        ":2: byte 31 is not UTF-8 (0xe9); save the file as UTF-8"
    ]


def test_every_bad_line_is_reported(jsonl):
    """Also those after a line that is not UTF-8."""
    path = jsonl(b'{"document":1}\n' + GOOD.encode() + b"\n\xff\n\n{}\n" + GOOD.encode())
    faults = faults_of(files.read_jsonl, path, Annotation)
    assert [fault.split(":")[1] for fault in faults] == ["1", "3", "4", "5"]


def test_only_a_line_feed_ends_a_record(jsonl):
    """U+2028, U+0085 and a carriage return stand inside a text; the last line end may be missing."""
    text = "one\u2028two\u0085three\r\u2029"
    path = jsonl(
        json.dumps({"id": "a", "text": text}, ensure_ascii=False) + '\n{"id":"b","text":""}'
    )
    assert files.read_jsonl(path, Document) == [Document("a", text), Document("b", "")]


def test_an_escaped_pair_of_surrogates_is_one_character(jsonl):
    """Only a lone surrogate is no character."""
    path = jsonl('{"id":"a","text":"\\ud83d\\ude80"}\n')
    assert files.read_jsonl(path, Document) == [Document("a", "🚀")]


def test_lenient_reading_passes_over_unknown_keys_and_nothing_else(jsonl):
    """Other programs add keys of their own; a wrong type stays a fault."""
    path = jsonl(
        '{"document":"a","score":0.5,"spans":[{"start":0,"end":1,"label":"X","p":1}]}\n'
        '{"document":"b","spans":[{"start":"0","end":1,"label":"X"}]}\n'
    )
    assert faults_of(files.read_jsonl, path, Annotation, lenient=True) == [
        ":2: Expected `int`, got `str` - at `$.spans[0].start`; mend the line"
    ]
    path = jsonl(path.read_text().splitlines()[0])
    assert files.read_jsonl(path, Annotation, lenient=True) == [
        Annotation("a", spans=(Span(0, 1, "X"),))
    ]


def test_an_empty_jsonl_file_has_no_records(jsonl):
    """No bytes, no records, no fault."""
    assert files.read_jsonl(jsonl(""), Document) == []


def test_iter_jsonl_leaves_nothing_out(jsonl):
    """Keys the toolkit does not know are kept, numbers and all."""
    path = jsonl('{"id":"a","x":[1,2.5,null],"y":{"z":true}}\n')
    assert list(files.iter_jsonl(path)) == [{"id": "a", "x": [1, 2.5, None], "y": {"z": True}}]


def test_iter_jsonl_stops_at_the_first_bad_line(jsonl):
    """What stood before it has been given by then."""
    records = files.iter_jsonl(jsonl('{"id":"a"}\n[]\n{"id":"c"}\n'))
    assert next(records) == {"id": "a"}
    with pytest.raises(InvalidDataError, match=r"records\.jsonl:2: not a JSON object; mend"):
        next(records)


@pytest.mark.parametrize("reader", [files.read_text, files.read_json], ids=["text", "json"])
def test_a_missing_file_is_a_usage_error(tmp_path, reader):
    """Exit code 2: the path is wrong, not the data."""
    with pytest.raises(UsageError) as caught:
        reader(tmp_path / "gone")
    assert str(caught.value) == f"{tmp_path}/gone: no such file; check the path"


def test_a_folder_is_no_file(tmp_path):
    """A folder where a file belongs is a usage error."""
    with pytest.raises(UsageError, match="Is a directory; check the path and its permissions"):
        files.read_jsonl(tmp_path, Document)


def test_read_json_says_what_is_wrong(tmp_path):
    """A damaged file of our own is invalid data."""
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(InvalidDataError, match=r"x\.json: not JSON: .*; mend or delete it"):
        files.read_json(tmp_path / "x.json")


def test_text_is_read_exactly(tmp_path):
    """Line ends are not translated: offsets count them."""
    (tmp_path / "x.txt").write_bytes("a\r\nb\rc\n\u2028é".encode())
    assert files.read_text(tmp_path / "x.txt") == "a\r\nb\rc\n\u2028é"


# ── canonical records ───────────────────────────────────────────────────────────────────────────


def test_a_record_leaves_defaults_out_and_keeps_the_declared_order():
    """Short lines whose diff shows what changed."""
    annotation = Annotation(
        "d1", "a1", (Span(0, 1, "X", attributes={"sure": True}),), skipped=False, lead_time=0.0
    )
    assert files.json_line(annotation) == (
        '{"document":"d1","annotator":"a1",'
        '"spans":[{"start":0,"end":1,"label":"X","attributes":{"sure":true}}],"lead_time":0.0}'
    )


def test_a_json_line_is_readable_utf8_without_blanks():
    """Letters stay letters; nothing is escaped that need not be."""
    assert (
        files.json_line({"b": "é – 🚀\u2028", "a": [1, None]})
        == '{"b":"é – 🚀\u2028","a":[1,null]}'
    )


def test_nan_is_never_written():
    """A number that JSON does not have is refused."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.json_line({"x": math.nan})


words = st.text(max_size=12).filter(is_storable)
spans = st.builds(
    Span,
    st.integers(0, 99),
    st.integers(0, 99),
    words,
    words,
    words,
    st.dictionaries(words, words | st.booleans(), max_size=2),
)
annotations = st.builds(
    Annotation,
    words,
    words,
    st.lists(spans, max_size=3).map(tuple),
    skipped=st.booleans(),
    lead_time=st.none() | st.floats(0, 1e6),
    provenance=st.dictionaries(words, words, max_size=2),
)


@settings(max_examples=80, deadline=None)
@given(found=st.lists(annotations, max_size=4))
def test_records_read_back_as_they_were_written(tmp_path_factory, found):
    """Whatever the text: reading is the inverse of writing, and writing again changes nothing."""
    path = tmp_path_factory.mktemp("law") / "x.jsonl"
    files.write_jsonl(path, found)
    back = files.read_jsonl(path, Annotation)
    assert back == found
    assert files.write_jsonl(path, back) is False


def test_zones_and_tokens_survive_writing(tmp_path):
    """Tuples inside tuples come back as they were."""
    document = Document("d", "ab", zones=(Zone(0, 2, "body"),), tokens=((0, 1), (1, 2)))
    files.write_jsonl(tmp_path / "d.jsonl", [document])
    assert files.read_jsonl(tmp_path / "d.jsonl", Document) == [document]


# ── writing ─────────────────────────────────────────────────────────────────────────────────────


def test_a_file_that_would_not_change_is_not_touched(tmp_path):
    """Same bytes: same inode, same time, and the answer is no."""
    path = tmp_path / "x.jsonl"
    assert files.write_jsonl(path, [{"a": 1}]) is True
    os.utime(path, (1, 1))
    before = path.stat()
    assert files.write_jsonl(path, [{"a": 1}]) is False
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_that_changes_is_replaced_whole(tmp_path):
    """A reader that holds the old file open goes on reading it."""
    path = tmp_path / "deep" / "x.txt"
    files.write_text(path, "old")
    with path.open() as old:
        assert files.write_text(path, "new") is True
        assert (old.read(), path.read_text()) == ("old", "new")
    assert [found.name for found in path.parent.iterdir()] == ["x.txt"]


def test_a_failure_in_the_middle_leaves_the_old_file_alone(tmp_path):
    """Half the records are never seen, and no temporary file stays behind."""
    path = tmp_path / "x.jsonl"
    files.write_jsonl(path, [{"a": 0}])

    def breaking():
        yield {"a": 1}
        raise RuntimeError

    with pytest.raises(RuntimeError):
        files.write_jsonl(path, breaking())
    assert path.read_text() == '{"a":0}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_disk_error_and_leaves_the_old_file_alone(tmp_path):
    """Exit code 15, no half file, no temporary file."""
    path = tmp_path / "x.txt"
    files.write_text(path, "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        with pytest.raises(DiskError) as caught:
            files.write_text(path, "x" * 4096)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.exit_code == 15
    assert str(caught.value) == (
        f"{path}: cannot be written (File too large); free some space or choose another folder"
    )
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_a_disk_error(tmp_path):
    """A file stands where a folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match=r"cannot be written \(.*\); free some space or choose"):
        files.write_text(tmp_path / "file" / "x.txt", "new")


@pytest.mark.parametrize(
    ("private", "mode"), [(True, 0o600), (False, 0o644)], ids=["private", "public"]
)
def test_the_mode_of_a_written_file(tmp_path, private, mode):
    """A token is for its owner alone; everything else can be read by all."""
    path = tmp_path / "x"
    files.write_text(path, "x", private=private)
    assert path.stat().st_mode & 0o777 == mode


def test_a_private_file_is_made_private_even_when_its_text_stays(tmp_path):
    """A token file that others could read is closed by the next run."""
    path = tmp_path / "token"
    path.write_text("secret")
    path.chmod(0o644)
    assert files.write_text(path, "secret", private=True) is False
    assert path.stat().st_mode & 0o777 == 0o600


# ── places and templates ────────────────────────────────────────────────────────────────────────


def test_home_is_where_the_environment_says(monkeypatch, tmp_path):
    """`TOOLKIT_HOME` beats the platform's folder."""
    monkeypatch.setenv("TOOLKIT_HOME", str(tmp_path / "elsewhere"))
    assert files.home() == tmp_path / "elsewhere"


def test_home_is_else_the_data_folder_of_the_platform(monkeypatch, tmp_path):
    """Without a setting, the toolkit's own folder among the user's data."""
    monkeypatch.delenv("TOOLKIT_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert files.home().name == "toolkit"


def test_what_ships_is_found():
    """The schema and the corpus are there, in a clone as in a wheel."""
    assert files.resource("schemas/commitments.yaml").is_file()
    assert files.resource("annotations/communique").is_dir()


def test_a_template_never_has_an_empty_place():
    """A name that is not given is an error, not a blank."""
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        files.render("card.md", title="x")


def test_no_outside_library_is_imported_before_it_is_needed():
    """The command line starts fast: `files` alone loads no YAML, pydantic, msgspec or jinja2."""
    code = (
        "import sys, toolkit.files;"
        "print({'yaml', 'pydantic', 'msgspec', 'jinja2', 'platformdirs'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_record_holds_plain_values_only():
    """Dataclasses inside tuples and mappings become plain JSON values."""
    held = files.record(Menu("a", (Dish("b", hot=True),), notes={"x": "y"}))
    assert held == {"name": "a", "dishes": [{"name": "b", "hot": True}], "notes": {"x": "y"}}
    assert isinstance(held["notes"], Mapping)


def test_package_that_is_not_what_was_locked_is_not_unpacked(tmp_path):
    """A hash that differs, or no such package: nothing is left behind, and the cure is told."""
    lock = tmp_path / "seqeval.lock"
    lock.write_text(f"seqeval==1.2.2 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(UnusableAnswerError) as caught:
        files.unpack(lock, tmp_path / "kept" / "seqeval")
    assert str(caught.value).startswith("seqeval: could not be fetched from the package index:\n")
    assert list((tmp_path / "kept").iterdir()) == []
