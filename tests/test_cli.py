"""The commands as their users meet them: words in, words and figures out, an exit code."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import toolkit
from toolkit import cli, errors, files, ner
from toolkit.cli.terminal import figure, printable, table
from toolkit.schema import Schema
from toolkit.spans import Annotation, Document, Span

SMALL = Path(__file__).parent / "data" / "small"
COMMANDS = [
    *("demo", "doctor", "check", "studio", "push", "pull", "progress", "convert"),
    *("agreement", "adjudicate", "build", "train", "predict", "serve", "score"),
]
STUDIO_COMMANDS = ["start", "stop", "status", "invite"]
EVERY_COMMAND = [
    *([name] for name in COMMANDS if name != "studio"),
    *(["studio", name] for name in STUDIO_COMMANDS),
]
STEPS = [
    *("--set", "training.max_steps=2"),
    *("--set", "components.tok2vec.model.encode.width=16"),
    *("--set", "components.tok2vec.model.embed.rows=[100,100,100,100]"),
]


@pytest.fixture
def run(capsys):
    """Run a command line and give its exit code, what it printed, and what it said."""

    def call(*args):
        status = cli.run(list(map(str, args)))
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


@pytest.fixture
def run_json(run):
    """Run a command line with `--json` and give the object it printed."""

    def call(*args):
        status, out, _ = run(*args, "--json")
        assert (status, out.count("\n")) == (0, 1)
        return json.loads(out)

    return call


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a small corpus, its gold, its dataset and a model that has learnt little."""
    root = tmp_path_factory.mktemp("made")
    shutil.copytree(SMALL, root / "small")
    with contextlib.redirect_stdout(io.StringIO()):
        assert cli.run(["adjudicate", str(root / "small")]) == 0
        assert cli.run(["build", str(root / "small"), "-o", str(root / "dataset")]) == 0
        train = ["train", str(root / "dataset"), "-o", str(root / "model"), *STEPS]
        assert cli.run(train) == 0
    return root


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A copy of that folder, for one test to work in."""
    shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return Path()


def read(path):
    """The records of a JSON Lines file."""
    return list(files.iter_jsonl(Path(path)))


# ── help ────────────────────────────────────────────────────────────────────────────────────────


def listed(screen):
    """The commands of a help screen with their words, in its order."""
    lines = screen.partition("Commands:\n")[2].splitlines()
    return dict(line.strip().split(None, 1) for line in lines)


def test_help_is_the_pipeline(run):
    """`toolkit --help` lists the commands in the order of the work."""
    status, out, err = run("--help")
    assert (status, list(listed(out)), err) == (0, COMMANDS, "")


@pytest.mark.parametrize("group", [[], ["studio"]], ids=["toolkit", "studio"])
def test_words_of_a_command_fit_the_screen(run, monkeypatch, group):
    """On eighty columns every command is told in one whole sentence."""
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run(*group, "--help")
    words = listed(out)
    assert [name for name, said in words.items() if not said.endswith(".")] == []
    assert [name for name, said in words.items() if said.endswith(("...", "…"))] == []


def test_studio_lists_its_commands(run):
    """The local server is started, stopped, looked at, and given people."""
    status, out, _ = run("studio", "--help")
    assert (status, list(listed(out))) == (0, STUDIO_COMMANDS)


@pytest.mark.parametrize("command", EVERY_COMMAND, ids=" ".join)
def test_command_has_help(run, command):
    """Each command says how it is used, and takes `--json`."""
    status, out, err = run(*command, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"Usage: toolkit {' '.join(command)} ")
    assert "--json" in out


@pytest.mark.parametrize("command", EVERY_COMMAND, ids=" ".join)
def test_every_argument_is_explained(command):
    """No argument and no option of a command goes without a word."""
    found = typer.main.get_command(cli.app)
    for name in command:
        found = found.commands[name]
    silent = [p.name for p in found.params if not getattr(p, "help", "") and p.name != "help"]
    assert (silent, bool(found.help)) == ([], True)


def test_toolkit_alone_shows_its_help(run):
    """Without a command the help screen comes."""
    _, out, err = run()
    assert list(listed(out + err)) == COMMANDS


def test_version(run):
    """`--version` prints the version and nothing else."""
    assert run("--version") == (0, f"{toolkit.__version__}\n", "")


# ── exit codes ──────────────────────────────────────────────────────────────────────────────────

EXIT_CODES = {
    "ToolkitError": 1,
    "UsageError": 2,
    "InvalidDataError": 3,
    "DamagedError": 14,
    "UnreachableError": 10,
    "NotAllowedError": 11,
    "UnusableAnswerError": 12,
    "LockedError": 13,
    "IntegrityError": 14,
    "DiskError": 15,
}


def test_exit_codes_are_as_documented():
    """Every error has the exit code that the documentation gives it, and no other error exists."""
    classes = {
        name: value.exit_code
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.ToolkitError)
    }
    assert classes == EXIT_CODES
    assert errors.QUARANTINED == 4


def test_error_tree_is_drawn_as_it_is():
    """The drawing at the top of the module names every child with its exit code."""
    drawn = dict(line.split()[:2] for line in errors.__doc__.splitlines() if line[:6] == " " * 6)
    codes = {name: str(code) for name, code in EXIT_CODES.items() if name != "ToolkitError"}
    assert drawn == codes


def test_every_fault_has_a_line_of_its_own(run, tmp_path):
    """Several faults are told in one run, a line each, with exit code 3."""
    (tmp_path / "odd.yaml").write_text("name: odd\nnmae: odd\n")
    status, _, err = run("check", tmp_path / "odd.yaml")
    lines = err.splitlines()
    assert (status, len(lines) > 2) == (3, True)
    assert [line for line in lines if not line.startswith(f"error: {tmp_path}/odd.yaml:")] == []


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────

OFFLINE = {
    "doctor": "doctor",
    "check": "check small",
    "studio status": "studio status",
    "studio stop": "studio stop",
    "agreement": "agreement small",
    "adjudicate": "adjudicate small",
    "build": "build small -o dataset",
    "train": "train dataset -o model " + " ".join(STEPS),
    "predict": "predict model small/documents.jsonl -o predicted.jsonl",
    "score": "score model --gold dataset",
}


@pytest.mark.parametrize("line", OFFLINE.values(), ids=OFFLINE)
def test_json_is_one_object(here, run, line):
    """With `--json` a command prints one object on one line, and nothing else, to stdout."""
    status, out, _ = run(*line.split(), "--json")
    assert (status, out.count("\n"), out.isascii()) == (0, 1, True)
    assert isinstance(json.loads(out), dict)


@pytest.mark.parametrize("line", OFFLINE.values(), ids=OFFLINE)
def test_words_come_without_json(here, run, line):
    """Without `--json` a command prints words for people, and no object."""
    status, out, _ = run(*line.split())
    assert (status, bool(out.strip())) == (0, True)
    assert not out.startswith("{")


def test_json_comes_with_faults(here, run):
    """A check that finds faults prints its object all the same, and lists the faults in it."""
    path = Path("small/documents.jsonl")
    path.write_text(path.read_text().replace('"id":"A04"', '"id":"A02"'))
    status, out, err = run("check", "small", "--json")
    faults = [f"error: {fault}\n" for fault in json.loads(out)["faults"]]
    assert (status, err) == (3, "".join(faults))


# ── the work ────────────────────────────────────────────────────────────────────────────────────


def test_check_counts(here, run):
    """A check says what it has read."""
    status, out, err = run("check", "small")
    counts = "small: 6 documents, 18 annotations, 80 spans, 0 relations\n"
    assert (status, out, err) == (0, counts, "")


def test_check_finds_what_is_here(tmp_path, monkeypatch, run_json):
    """Without a path, the schemas and corpora of the folder are checked."""
    shutil.copytree(SMALL, tmp_path / "annotations" / "small")
    shutil.copytree(files.resource("schemas"), tmp_path / "schemas")
    monkeypatch.chdir(tmp_path)
    checked = run_json("check")["checked"]
    assert list(checked) == ["annotations/small", "schemas/commitments.yaml"]


def test_agreement_counts(here, run_json):
    """Agreement is told as counts and the ratios that follow from them."""
    (pair,) = run_json("agreement", "small")["pairs"]
    assert pair["annotators"] == ["a1", "a2"]
    counts = {"both": 6, "only_first": 1, "only_second": 0}
    assert pair["exact"]["PARTY"] == {"f1": 12 / 13, "interval": None} | counts


def test_adjudicate_says_what_settled_each_span(here, run_json):
    """Gold is what both marked and what a decision settled."""
    told = run_json("adjudicate", "small")
    assert {key: told[key] for key in ("documents", "agreed", "decided", "disputed")} == {
        "documents": 6,
        "agreed": 26,
        "decided": 1,
        "disputed": 0,
    }


def test_build_says_what_it_holds(here, run_json):
    """The dataset's splits and the fingerprint of its data are told, and stay the same."""
    first, second = (run_json("build", "small", "-o", "dataset") for _ in range(2))
    assert first == second
    documents = {split: counts["documents"] for split, counts in first["splits"].items()}
    assert documents == {"train": 4, "validation": 1, "test": 1}


def stamps(folder):
    """When each file of a folder was written."""
    return {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*")}


def test_training_again_is_up_to_date(here, run):
    """A model made of the same data, settings and seed is left as it is."""
    before = stamps("model")
    status, out, err = run("train", "dataset", "-o", "model", *STEPS)
    assert (status, out.splitlines()[0], err) == (0, "model: up to date", "")
    assert stamps("model") == before


CHANGES = {
    "seed": ["--seed", "1"],
    "setting": ["--set", "training.dropout=0.2"],
    "force": ["--force"],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_training_heeds_a_change(here, run_json, change):
    """Another seed or setting makes another model; `--force` makes the same one again."""
    assert not run_json("train", "dataset", "-o", "model", *STEPS)["trained"]
    assert run_json("train", "dataset", "-o", "model", *STEPS, *change)["trained"]


def test_training_heeds_other_data(here, run_json):
    """A model is out of date when the gold has changed."""
    Path("small/splits.yaml").write_text("train: [e1]\nvalidation: [e3]\ntest: [e2]\n")
    run_json("build", "small", "-o", "dataset")
    assert run_json("train", "dataset", "-o", "model", *STEPS)["trained"]


def test_set_overrides_the_system(here, run_json):
    """`--set` reaches spaCy's configuration and beats the system's file; the last one counts."""
    told = run_json("train", "dataset", "-o", "other", *STEPS, "--set", "training.max_steps=3")
    config = Path("other/config.cfg").read_text()
    assert (told["steps"], "max_steps = 3\n" in config, "width = 16\n" in config) == (3, True, True)


def test_system_may_be_a_file(here, run_json):
    """A system is a name of a shipped file, or any YAML file."""
    Path("mine.yaml").write_text(
        "name: mine\nengine: spacy\ndescription: small\noverrides: {training.max_steps: 1}\n"
    )
    assert run_json("train", "dataset", "--system", "mine.yaml", "-o", "mine")["steps"] == 1
    assert run_json("predict", "mine", "small/documents.jsonl", "-o", "p")["model"] == "mine"


def test_predict_keeps_further_keys(here, run_json):
    """A prediction names document, model and spans, and keeps what else the record held."""
    Path("in.jsonl").write_text(
        '{"id":"x","text":"Tovland pays.","source":"wire","note":{"of":"ours"}}\n'
        '{"text":"","id":"y"}\n'
    )
    told = run_json("predict", "model", "in.jsonl", "-o", "out.jsonl")
    assert told == {"output": "out.jsonl", "model": "cnn", "documents": 2, "spans": told["spans"]}
    first, second = read("out.jsonl")
    assert list(first) == ["document", "annotator", "spans", "source", "note"]
    assert (first["document"], first["annotator"], first["note"]) == (
        "x",
        "model:cnn",
        {"of": "ours"},
    )
    assert second == {"document": "y", "annotator": "model:cnn", "spans": []}


def test_predict_does_not_pass_gold_for_its_own(here, run_json):
    """What a record says of its spans and relations is not the model's, and is left out."""
    record = {"id": "x", "text": "pays", "spans": [{"start": 0, "end": 4, "label": "PARTY"}]}
    record |= {"relations": [{"type": "promisor", "head": "s1", "tail": "s2"}], "skipped": True}
    Path("in.jsonl").write_text(json.dumps(record) + "\n")
    run_json("predict", "model", "in.jsonl", "-o", "out.jsonl")
    assert set(read("out.jsonl")[0]) == {"document", "annotator", "spans"}


def test_predict_on_processes_is_the_same(here, run):
    """Several processes write the same file as one."""
    line = ["predict", "model", "small/documents.jsonl", "--processes", "2", "-o", "2.jsonl"]
    command = [sys.executable, "-m", "toolkit", *line]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    run(*line[:3], "-o", "1.jsonl")
    assert Path("1.jsonl").read_bytes() == Path("2.jsonl").read_bytes()


# ── score ───────────────────────────────────────────────────────────────────────────────────────

LABELS = {"commitments": ["COMMITMENT"], "mentions": ["PARTY", "AMOUNT", "DATE"]}
RATIOS = {"precision", "recall", "f1", "support"}


def test_score_has_its_promised_shape(here, run_json):
    """Programs find `layers.<layer>.{micro,macro,per_label.<LABEL>}` and `macro_f1`."""
    told = run_json("score", "model", "--gold", "dataset")
    assert {name: list(layer["per_label"]) for name, layer in told["layers"].items()} == LABELS
    rows = [
        row
        for layer in told["layers"].values()
        for row in (layer["micro"], layer["macro"], *layer["per_label"].values())
    ]
    assert [row for row in rows if set(row) != RATIOS] == []
    assert all(0 <= row[name] <= 1 for row in rows for name in RATIOS - {"support"})
    assert 0 <= told["macro_f1"] <= 1


def minimum(source, target, *, drop=0):
    """Gold as another program would write its predictions: documents, offsets and labels."""
    records = [
        {
            "document": record["document"],
            "spans": [
                {key: span[key] for key in ("start", "end", "label")}
                for span in record.get("spans", [])[drop:]
            ],
        }
        for record in read(source)
    ]
    Path(target).write_text("".join(json.dumps(record) + "\n" for record in records))


def test_gold_scores_one_against_itself(here, run_json):
    """Records of document, offsets and labels are enough, and the right ones score one."""
    minimum("small/gold.jsonl", "right.jsonl")
    told = run_json("score", "right.jsonl", "--gold", "small/gold.jsonl")
    assert (told["macro_f1"], told["documents"]) == (1.0, 6)
    assert told["layers"]["mentions"]["per_label"]["PARTY"]["support"] == 7


def test_gold_file_and_dataset_give_the_same_score(here, run_json):
    """A dataset's split and a file of the same documents are the same gold."""
    minimum("small/gold.jsonl", "wrong.jsonl", drop=1)
    gold = [line for line in Path("small/gold.jsonl").read_text().splitlines() if "A06" in line]
    Path("gold.jsonl").write_text("\n".join(gold) + "\n")
    by_file = run_json("score", "wrong.jsonl", "--gold", "gold.jsonl")
    by_dataset = run_json("score", "wrong.jsonl", "--gold", "dataset")
    assert by_file == by_dataset
    assert 0 < by_file["macro_f1"] < 1


def test_split_is_chosen(here, run_json):
    """`--split` names the part of the dataset that is scored on."""
    minimum("small/gold.jsonl", "right.jsonl")
    told = run_json("score", "right.jsonl", "--gold", "dataset", "--split", "train")
    assert told["documents"] == 4


def test_model_scores_as_its_predictions_do(here, run_json):
    """Scoring a model and scoring the file it wrote is the same, further documents left aside."""
    run_json("predict", "model", "small/documents.jsonl", "-o", "predicted.jsonl")
    by_model = run_json("score", "model", "--gold", "dataset", "--split", "train")
    by_file = run_json("score", "predicted.jsonl", "--gold", "dataset", "--split", "train")
    assert by_file == by_model


@pytest.fixture
def every_token(tmp_path):
    """A model that has learnt to mark each token by itself, and so shows how it was cut."""
    text = "Tovland will pay Qaranbek 5 euros on Monday."
    document = Document("d", text, tokens=ner.tokenize(Document("d", text)))
    reading = Annotation("d", spans=tuple(Span(*token, "DATE") for token in document.tokens))
    settings = dict(option.split("=") for option in STEPS[1::2])
    settings = {key: json.loads(value) for key, value in settings.items()}
    settings |= {"training.max_steps": 60, "training.optimizer.learn_rate": 0.02}
    system = ner.System("every token", "spacy", "", settings)
    schema = Schema.load(files.resource("schemas/commitments.yaml"))
    examples = [(document, reading)]
    return ner.train(examples, examples, schema, system, tmp_path / "every-token").path


def test_zones_are_heeded(every_token, here, run_json):
    """Where a record has zones, no token crosses the edge of one, as when a dataset is built."""
    zones = [{"start": 0, "end": 7, "zone": "boilerplate"}]
    record = {"id": "x", "text": "ReutersTovland will pay."}
    lines = [record | {"zones": zones}, record | {"id": "y", "zones": "of ours"}]
    Path("in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run_json("predict", every_token, "in.jsonl", "-o", "out.jsonl")
    first, second = (
        [span["text"] for span in record["spans"] if span["label"] == "DATE"]
        for record in read("out.jsonl")
    )
    assert (first, second) == (
        ["Reuters", "Tovland", "will", "pay", "."],
        ["ReutersTovland", "will", "pay", "."],
    )
    assert [record["zones"] for record in read("out.jsonl")] == [zones, "of ours"]


def test_score_is_a_table_for_people(here, run):
    """The table has a row for each label, and names the scorer."""
    minimum("small/gold.jsonl", "right.jsonl")
    _, out, _ = run("score", "right.jsonl", "--gold", "small/gold.jsonl")
    assert out.startswith("commitments\n")
    assert ["PARTY", "1.000", "1.000", "1.000", "7"] in [line.split() for line in out.splitlines()]
    assert "\nmacro F1 over all labels: 1.000 (6 documents)\n" in out
    assert "seqeval|strict|IOB2|" in out


# ── the terminal ────────────────────────────────────────────────────────────────────────────────

PRINTABLE = {
    "plain": ("Qaranbek’s €5 – 東京 🇯🇵", "Qaranbek’s €5 – 東京 🇯🇵"),
    "line end": ("one\ntwo", "one\ntwo"),
    "tab": ("one\ttwo", "one\\u0009two"),
    "colour": ("\x1b[31mred", "\\u001b[31mred"),
    "carriage return": ("good\rbad", "good\\u000dbad"),
    "delete": ("\x7f", "\\u007f"),
    "8-bit control": ("\x9b31m", "\\u009b31m"),
    "right to left": ("\u202etxt.exe", "\\u202etxt.exe"),
    "isolate": ("\u2066a\u2069", "\\u2066a\\u2069"),
    "mark": ("\u200ea\u061c", "\\u200ea\\u061c"),
    "nothing to see": ("a\u200bb", "a\\u200bb"),
    "line separator": ("a\u2028b", "a\\u2028b"),
    "lone surrogate": ("\ud800", "\\ud800"),
    "far away": ("\U000e0001", "\\U000e0001"),
}


@pytest.mark.parametrize(("text", "shown"), PRINTABLE.values(), ids=PRINTABLE)
def test_data_cannot_drive_a_terminal(text, shown):
    """Characters that move, hide or turn text are shown as escapes; all others as they are."""
    assert printable(text) == shown


def test_errors_and_results_are_printable(run, tmp_path):
    """A name full of escapes reaches the terminal as plain words."""
    name = tmp_path / "a\x1b[31m\u202e"
    status, _, err = run("check", name)
    told = f"error: {tmp_path}/a\\u001b[31m\\u202e: no such file; check the path\n"
    assert (status, err) == (2, told)
    shutil.copytree(SMALL, name)
    _, out, _ = run("check", name)
    assert out.startswith(f"{tmp_path}/a\\u001b[31m\\u202e: 6 documents")


@pytest.mark.parametrize("option", [[], ["--json"]], ids=["words", "json"])
def test_narrow_encodings_are_no_fault(option):
    """A terminal that knows ASCII alone gets the table with escapes, and the object whole."""
    command = [sys.executable, "-c", "import toolkit.cli as c; c.main()", "agreement", str(SMALL)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*command, *option], capture_output=True, check=False, env=environment)
    assert (done.returncode, done.stderr, done.stdout.isascii()) == (0, b"", True)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.12345, "0.123"), (1, "1.000"), (0, "0.000"), (None, "–")]
)
def test_figure(value, shown):
    """A ratio has three places, and no ratio is a dash, never zero."""
    assert figure(value) == shown


def test_table():
    """Words stand left, figures right, under a rule."""
    shown = table("title", ["label", "n"], [["a", 10], ["long", 5]])
    assert shown == "title\nlabel   n\n─────  ──\na      10\nlong    5"


COMMUNIQUE = str(Path(__file__).parent.parent / "annotations/communique")


def test_audit_prints_figures_beside_bands(run):
    """Only when asked for; the figures are no faults."""
    status, out, err = run("check", "--audit", "--json", COMMUNIQUE)
    told = json.loads(out)
    (audit,) = told["audit"].values()
    assert (status, err, told["faults"]) == (0, "", [])
    assert {"group", "name", "value", "band", "inside", "note"} == audit["figures"][0].keys()
    assert [part["name"] for part in audit["parts"][:2]] == ["communique", "train"]
    assert "figures outside their band" in run("check", "--audit", COMMUNIQUE)[1]


def test_agreement_by_part(run, run_json):
    """Each part's documents are compared by themselves, and counts add up."""
    told = run_json("agreement", "--by", "split", COMMUNIQUE)
    assert {"train", "validation", "test"} == told["by"].keys()
    whole = {tuple(p["annotators"]): p["exact"]["all"]["both"] for p in told["pairs"]}
    parts = {}
    for pairs in told["by"].values():
        for pair in pairs:
            key = tuple(pair["annotators"])
            parts[key] = parts.get(key, 0) + pair["exact"]["all"]["both"]
    assert parts == whole
    assert "exact F1 by part" in run("agreement", "--by", "split", COMMUNIQUE)[1]


def test_agreement_by_no_part(run):
    """What can be compared by is said."""
    status, _, err = run("agreement", "--by", "moon", COMMUNIQUE)
    assert (status, err) == (2, "error: --by moon: no such part; choose split, genre, event\n")
