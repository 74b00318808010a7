"""Disputes and a model's errors to reviewers, and their readings back as gold."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit import files, studio
from toolkit.cli import run
from toolkit.cli.exchange import annotators_projects
from toolkit.cli.reviews import next_patch, with_version
from toolkit.corpus import Corpus
from toolkit.errors import UsageError
from toolkit.spans import GOLD, Annotation, Relation, Span

SMALL = Path(__file__).parent / "data" / "small"
SAID = {"kind": "plan", "status": "asserted", "polarity": "+", "specificity": "specific"}
COMMITMENT = Span(0, 97, "COMMITMENT", "c", attributes=SAID)
PARTY = Span(18, 25, "PARTY", "p")
AMOUNT = Span(71, 97, "AMOUNT", "m")


def told_of(capsys):
    """Run a command: its exit code, its JSON object, its messages."""

    def told(*words):
        code = run([*map(str, words), "--json"])
        printed = capsys.readouterr()
        return code, json.loads(printed.out) if printed.out else None, printed.err

    return told


@pytest.fixture
def command(site, monkeypatch, capsys):
    """Run a command against the site: its exit code, its JSON object, its messages."""
    monkeypatch.setenv("LABEL_STUDIO_URL", site.server.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", site.server.api_key)
    return told_of(capsys)


@pytest.fixture
def root(site, tmp_path):
    """A corpus that annika and boris have read; of A04 boris overlooked a party."""
    root = tmp_path / "corpus"
    shutil.copytree(SMALL, root)
    (root / "decisions.jsonl").unlink()
    text = f'name: {site.corpus()}\nschema: commitments\nversion: "1.2.3"  # of gold\n'
    (root / "corpus.yaml").write_text(text)
    for old, new in (("a1", "annika"), ("a2", "boris")):
        path = root / "annotators" / f"{old}.jsonl"
        content = path.read_text().replace(f'"annotator":"{old}"', f'"annotator":"{new}"')
        path.with_name(f"{new}.jsonl").write_text(content)
        path.unlink()
    return root


def reading(*spans, document="A04", relations=()):
    """A reviewer's reading."""
    return Annotation(document, spans=spans, relations=relations)


def submit(site, root, project, who, *readings):
    """Submit readings to one of the corpus's projects as this person."""
    corpus = Corpus.load(root)
    person = site.person(who)
    done = studio.submit(person, corpus.name, project, corpus.schema, corpus.texts, readings)
    assert done == len(readings)


def gold(root, document="A04"):
    """What gold holds of a document: spans without ids, relations by place."""
    (found,) = (a for a in Corpus.load(root).annotations(GOLD) if a.document == document)
    return [(span.key, dict(span.attributes)) for span in found.spans], found.links()


def said(annotation):
    """The same of a reading; outer spans come first."""
    spans = sorted(annotation.spans, key=lambda span: (span.start, -span.end))
    return [(span.key, dict(span.attributes)) for span in spans], annotation.links()


def contents(folder):
    """Every file below, with its bytes."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def counts(told, *names):
    """Some of the figures that were told."""
    return [told[name] for name in names]


PUSHED = ("created", "unchanged", "suggested", "disputed", "settled")
PULLED = ("taken", "superseded", "skipped", "quarantined", "decided", "disputed")


def sent(site, root, project):
    """Everything the server knows of a corpus's project: itself, its tasks, their predictions."""
    (found,) = studio.find(site.admin(), Corpus.load(root).name, project)
    query = {"project": found.id, "page_size": 1000}
    return (
        site.call("GET", f"/api/projects/{found.id}/"),
        site.call("GET", "/api/tasks/", params=query | {"fields": "all"})["tasks"],
        site.call("GET", "/api/predictions/", params={"project": found.id}),
    )


# ── disputes ────────────────────────────────────────────────────────────────────────────────────


def test_disputes_come_back_as_gold(site, command, root):
    """What a reviewer says of a dispute becomes gold; a second push and pull change nothing."""
    assert command("adjudicate", root)[1]["disputed"] == 1
    code, told, _ = command("adjudicate", root, "--push")
    assert (code, counts(told, *PUSHED)) == (0, [1, 0, 2, 1, 0])
    code, told, _ = command("adjudicate", root, "--push")
    assert (code, counts(told, *PUSHED)) == (0, [0, 1, 0, 1, 0])

    links = (Relation("promisor", "c", "p"),)
    reviewed = reading(COMMITMENT, replace(PARTY, end=24), AMOUNT, relations=links)
    submit(site, root, "review", "vera", reviewed)
    code, told, err = command("adjudicate", root, "--pull")
    assert (code, err, counts(told, *PULLED)) == (0, "", [1, 0, 0, 0, 1, 0])
    spans, found = gold(root)
    assert ([key for key, _ in spans], found) == (
        [key for key, _ in said(reviewed)[0]],
        reviewed.links(),
    )
    decisions = list(files.iter_jsonl(root / "decisions.jsonl"))
    assert [d["item"] for d in decisions] == ["A04/0-97/promisor", "A04/mentions/18-25"]
    assert {(d["rule"], d["adjudicator"]) for d in decisions} == {("review", "vera")}
    assert [change["text"] for change in told["changes"]] == [
        f'A04 0–97 COMMITMENT "{shown("A04", 0, 97)}" promisor to 18–24 PARTY "Tovlan" added',
        'A04 18–24 PARTY "Tovlan" added',
    ]
    assert (root / "corpus.yaml").read_text().endswith('version: "1.2.3"  # of gold\n')

    before = contents(root)
    code, told, err = command("adjudicate", root, "--pull")
    assert (code, err, counts(told, *PULLED)) == (0, "", [0, 0, 0, 0, 1, 0])
    assert (told["changes"], contents(root)) == ([], before)
    _, told, _ = command("adjudicate", root, "--push")
    assert counts(told, *PUSHED) == [0, 0, 0, 0, 1]


def shown(document, start, end):
    """A long span as a change shows it."""
    surface = Corpus.load(SMALL).texts[document].text[start:end]
    return f"{surface[:29]}…{surface[-30:]}"


def test_nothing_tells_whose_reading_is_whose(site, command, root):
    """Project, page, tasks and predictions hold no pseudonym; readings are lettered and complete."""
    command("adjudicate", root, "--push")
    project, tasks, predictions = sent(site, root, "review")
    everything = json.dumps([project, tasks, predictions]).lower()
    assert [name for name in ("annika", "boris") if name in everything] == []
    assert [task["data"]["document"] for task in tasks] == ["A04"]
    assert sorted(p["model_version"] for p in predictions) == ["reading A", "reading B"]
    drawn = sorted(sum(part["type"] == "labels" for part in p["result"]) for p in predictions)
    assert drawn == [2, 3]


def test_a_reading_is_shown_as_it_was_drawn(site, command, root):
    """Overlaps inside a layer, relations and attributes reach the reviewer; so does an empty page."""
    corpus = Corpus.load(root)
    drawn = Annotation(
        "A04",
        "annika",
        (COMMITMENT, PARTY, Span(11, 25, "PARTY", "q")),
        (Relation("promisor", "c", "p"),),
    )
    corpus.save("annika", [drawn])
    corpus.save("boris", [Annotation("A04", "boris")])
    assert command("adjudicate", root, "--push")[0] == 0
    _, _, predictions = sent(site, root, "review")
    kinds = sorted(sorted(part["type"] for part in p["result"]) for p in predictions)
    assert kinds == [[], ["choices"] * 4 + ["labels"] * 3 + ["relation"]]


def test_no_dispute_makes_no_project(site, command, root):
    """With nothing to review no project is made, and a pull names what comes first."""
    shutil.copy(SMALL / "decisions.jsonl", root)
    line = (root / "decisions.jsonl").read_text().replace('"choose":"a1"', '"choose":"annika"')
    (root / "decisions.jsonl").write_text(line)
    _, told, _ = command("adjudicate", root, "--push")
    assert (counts(told, *PUSHED), told["url"]) == ([0, 0, 0, 0, 0], "")
    name = Corpus.load(root).name
    assert studio.find(site.admin(), name) == []
    line = f"error: {site.server.url}: no reviews of {name!r}; push disputes first: toolkit"
    assert command("adjudicate", root, "--pull") == (2, None, f"{line} adjudicate --push\n")


def test_dry_runs_change_nothing(site, command, root):
    """With --dry-run the same is told, and neither corpus nor server changes."""
    _, told, _ = command("adjudicate", root, "--push", "--dry-run")
    assert (told["created"], told["dry_run"]) == (1, True)
    assert studio.find(site.admin(), Corpus.load(root).name) == []
    command("adjudicate", root, "--push")
    submit(site, root, "review", "vera", reading(COMMITMENT, AMOUNT))
    before = contents(root)
    _, told, _ = command("adjudicate", root, "--pull", "--dry-run")
    assert (counts(told, *PULLED), contents(root)) == ([1, 0, 0, 0, 0, 0], before)
    _, told, _ = command("adjudicate", root, "--pull")
    assert counts(told, *PULLED) == [1, 0, 0, 0, 0, 0]


def test_the_newest_review_counts(site, command, root):
    """Of several reviewers' readings the last one is gold; skipping a document says nothing."""
    command("adjudicate", root, "--push")
    submit(site, root, "review", "vera", reading(COMMITMENT, PARTY, AMOUNT))
    submit(site, root, "review", "walter", reading(COMMITMENT, AMOUNT))
    submit(site, root, "review", "xenia", Annotation("A04", skipped=True))
    _, told, _ = command("adjudicate", root, "--pull")
    assert counts(told, *PULLED) == [1, 1, 1, 0, 0, 0]
    assert [key for key, _ in gold(root)[0]] == [COMMITMENT.key, AMOUNT.key]
    (decision,) = files.iter_jsonl(root / "decisions.jsonl")
    assert decision == {
        "item": "A04/mentions/18-25",
        "choose": "boris",
        "rule": "review",
        "adjudicator": "walter",
    }


def test_a_later_hand_stays(site, command, root):
    """A decision changed by hand after a review is not undone by the next pull."""
    command("adjudicate", root, "--push")
    submit(site, root, "review", "vera", reading(COMMITMENT, PARTY, AMOUNT))
    command("adjudicate", root, "--pull")
    path = root / "decisions.jsonl"
    path.write_text(path.read_text().replace('"choose":"annika"', '"choose":"boris"'))
    for cursor in (site.home / "pulls").glob("*"):
        cursor.unlink()  # so that the server is asked for everything again
    before = path.read_bytes()
    _, told, _ = command("adjudicate", root, "--pull")
    assert (told["taken"], path.read_bytes()) == (0, before)


def test_other_documents_keep_their_decisions(site, command, root):
    """A review replaces its document's decisions alone, and the file is in order of item."""
    old = [
        {"item": "A05/0-105/kind", "value": "plan", "rule": "K1"},
        {"item": "A04/0-97/kind", "value": "pledge", "rule": "K1"},
    ]
    files.write_jsonl(root / "decisions.jsonl", old)
    command("adjudicate", root, "--push")
    submit(site, root, "review", "vera", reading(COMMITMENT, PARTY, AMOUNT))
    command("adjudicate", root, "--pull")
    found = list(files.iter_jsonl(root / "decisions.jsonl"))
    assert [d["item"] for d in found] == ["A04/mentions/18-25", "A05/0-105/kind"]
    assert found[1] == old[0]


def test_an_invalid_review_is_set_aside(site, command, root):
    """Overlaps cannot become gold: exit 4, a reason, and the reading before it counts."""
    command("adjudicate", root, "--push")
    submit(site, root, "review", "vera", reading(COMMITMENT, PARTY, AMOUNT))
    submit(site, root, "review", "walter", reading(COMMITMENT, PARTY, Span(11, 25, "PARTY", "q")))
    code, told, err = command("adjudicate", root, "--pull")
    assert (code, counts(told, *PULLED)) == (4, [1, 0, 0, 1, 1, 0])
    (record,) = files.iter_jsonl(root / "quarantine.jsonl")
    assert (record["project"], record["annotator"], record["rules"]) == (
        "review",
        "walter",
        ["overlap"],
    )
    reason = "A04: PARTY 18–25 overlaps PARTY 11–25 in the layer 'mentions'"
    assert err == f"set aside: {reason} (project review, task {record['task']})\n"
    manifest = files.read_json(root / "history" / "review.json")
    assert counts(manifest, "annotations", "read", "quarantined") == [2, 1, 1]
    assert command("check", root)[0] == 0
    before = contents(root)
    assert command("adjudicate", root, "--pull")[0] == 4
    assert contents(root) == before


def test_a_pull_cut_short_is_done_again(site, command, root):
    """When gold could be written but disputes could not, the next pull takes the review again."""
    command("adjudicate", root)
    command("adjudicate", root, "--push")
    submit(site, root, "review", "vera", reading(COMMITMENT, PARTY, AMOUNT))
    (root / "disputed.jsonl").unlink()
    (root / "disputed.jsonl").mkdir()
    assert command("adjudicate", root, "--pull")[0] == 15
    assert not (root / "history").exists()
    (root / "disputed.jsonl").rmdir()
    code, told, _ = command("adjudicate", root, "--pull")
    assert (code, counts(told, *PULLED)) == (0, [1, 0, 0, 0, 1, 0])
    assert files.read_json(root / "history" / "review.json")["read"] == 1


def test_lost_ids_are_named(site, command, root):
    """A commitment that a reviewer moves loses the id that only the registry knows; it is told."""
    item = "A04/0-97/commitment_id"
    files.write_jsonl(root / "decisions.jsonl", [{"item": item, "value": "e2-c01"}])
    command("adjudicate", root)
    command("adjudicate", root, "--push")
    moved = replace(COMMITMENT, start=18)
    submit(site, root, "review", "vera", reading(moved, PARTY, AMOUNT))
    _, told, err = command("adjudicate", root, "--pull")
    assert told["lost"] == [
        {
            "document": "A04",
            "attribute": "commitment_id",
            "value": "e2-c01",
            "was": [0, 97],
            "item": "A04/18-97/commitment_id",
        }
    ]
    assert err.splitlines()[0] == (
        "A04: commitment_id e2-c01 was lost as its span moved from 0–97; "
        "decide A04/18-97/commitment_id"
    )


def test_ragged_gold_is_told(site, command, root):
    """What a check of the gold will find in a reviewed document is said at once."""
    command("adjudicate", root, "--push")
    submit(site, root, "review", "vera", reading(COMMITMENT, replace(PARTY, end=26), AMOUNT))
    _, told, err = command("adjudicate", root, "--pull")
    fault = (
        "gold.jsonl: A04: PARTY 18–26 begins or ends with white space: 'Tovland '; move its edge"
    )
    assert (told["faults"], err) == ([fault], f"gold: {fault}\n")


# ── a model's errors ────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def predictions(root, command):
    """Gold as annika says, and a model that errs twice in A05, once in A04 and once in A06."""
    line = {"item": "A04/mentions/18-25", "choose": "annika", "rule": "P1"}
    files.write_jsonl(root / "decisions.jsonl", [line])
    command("adjudicate", root)
    wrong = {"A04": 1, "A05": 2, "A06": 1}
    lines = []
    for found in Corpus.load(root).annotations(GOLD):
        spans = found.spans[wrong.get(found.document, 0) :]
        bare = [{"start": s.start, "end": s.end, "label": s.label} for s in spans]
        lines.append({"document": found.document, "annotator": "model:cnn", "spans": bare})
    path = root.parent / "predicted.jsonl"
    files.write_jsonl(path, lines)
    return path


def test_errors_come_back_as_corrections(site, command, root, predictions):
    """The worst documents come first; a correction changes gold and raises the patch number."""
    command("check", root, "--freeze")
    code, told, _ = command("push", root, "--errors", predictions, "--limit", 2)
    figures = counts(told, "project", "created", "suggested", "differing", "places")
    assert (code, figures) == (0, ["errors", 2, 4, 3, 4])
    _, tasks, shown = sent(site, root, "errors")
    assert [task["data"]["document"] for task in sorted(tasks, key=lambda t: t["id"])] == [
        "A05",
        "A04",
    ]
    assert sorted(p["model_version"] for p in shown) == ["cnn", "cnn", "gold", "gold"]
    _, told, _ = command("push", root, "--errors", predictions, "--limit", 2)
    assert counts(told, "created", "unchanged", "suggested") == [0, 2, 0]

    corrected = reading(COMMITMENT, replace(PARTY, start=10), AMOUNT)
    submit(site, root, "errors", "vera", corrected)
    code, told, err = command("adjudicate", root, "--pull")
    assert (code, counts(told, "taken", "version_before", "version")) == (0, [1, "1.2.3", "1.2.4"])
    assert [key for key, _ in gold(root)[0]] == [key for key, _ in said(corrected)[0]]
    assert [change["text"] for change in told["changes"]] == [
        'A04 18–25 PARTY "Tovland" moved to 10–25 PARTY "accord, Tovland"'
    ]
    name = Corpus.load(root).name
    described = f'name: {name}\nschema: commitments\nversion: "1.2.4"  # of gold\n'
    assert (root / "corpus.yaml").read_text() == described
    cure = f"freeze the corpus again: toolkit check --freeze {root}"
    assert err == f"{root}: is not what SHA256SUMS says any more; {cure}\n"

    before = contents(root)
    _, told, _ = command("adjudicate", root, "--pull")
    assert (told["version"], contents(root)) == ("1.2.4", before)


def test_the_version_may_be_named(site, command, root, predictions):
    """With --version a correction gives the corpus this version; without a change it stays."""
    command("push", root, "--errors", predictions)
    assert command("adjudicate", root, "--pull", "--version", "2.0.0")[1]["version"] == "1.2.3"
    submit(site, root, "errors", "vera", reading(COMMITMENT, AMOUNT))
    assert command("adjudicate", root, "--pull", "--version", "2.0.0")[1]["version"] == "2.0.0"
    assert Corpus.load(root).info.version == "2.0.0"


def test_a_version_without_a_patch_number_is_asked_for(site, command, root, predictions):
    """Before anything is written the new version has to be named."""
    path = root / "corpus.yaml"
    path.write_text(path.read_text().replace("1.2.3", "7"))
    command("push", root, "--errors", predictions)
    submit(site, root, "errors", "vera", reading(COMMITMENT, AMOUNT))
    before = contents(root)
    line = f"error: {path}: version '7' has no patch number; gold changes, so name the new one"
    assert command("adjudicate", root, "--pull") == (2, None, f"{line}: --version X.Y.Z\n")
    assert contents(root) == before


def test_a_confirmed_gold_is_no_correction(site, command, root, predictions):
    """Who submits gold as it is changes neither gold nor version."""
    command("push", root, "--errors", predictions)
    (right,) = (a for a in Corpus.load(root).annotations(GOLD) if a.document == "A05")
    submit(site, root, "errors", "vera", right)
    _, told, _ = command("adjudicate", root, "--pull")
    assert (counts(told, "taken", "version"), told["changes"]) == ([1, "1.2.3"], [])


def test_the_newest_reading_of_both_projects_counts(site, command, root, predictions):
    """A correction that was written after a review of the same document goes before it."""
    (root / "decisions.jsonl").unlink()
    command("adjudicate", root, "--push")
    command("push", root, "--errors", predictions)
    submit(site, root, "errors", "vera", reading(COMMITMENT, AMOUNT))
    submit(site, root, "review", "vera", reading(COMMITMENT, PARTY, AMOUNT))
    _, told, _ = command("adjudicate", root, "--pull")
    assert counts(told, *PULLED) == [1, 1, 0, 0, 1, 0]
    assert [key for key, _ in gold(root)[0]] == [COMMITMENT.key, PARTY.key, AMOUNT.key]
    assert sorted(told["projects"]) == ["errors", "review"]


# ── annotators' projects and reviewers' ─────────────────────────────────────────────────────────


def test_reviews_are_nobodys_reading(site, command, root):
    """A pull takes annotators' projects alone: a reviewer never becomes an annotator."""
    command("push", root, "--project", "clara")
    command("adjudicate", root, "--push")
    submit(site, root, "clara", "clara", reading(COMMITMENT))
    submit(site, root, "review", "vera", reading(COMMITMENT, PARTY, AMOUNT))
    code, told, _ = command("pull", root)
    assert (code, sorted(told["projects"])) == (0, ["clara"])
    assert Corpus.load(root).annotators == ("annika", "boris", "clara")


def test_a_withdrawn_reading_is_not_kept_for_a_review(site, command, root):
    """An annotator's reading goes when it is deleted, though the same person reviewed the document."""
    command("push", root, "--project", "clara")
    command("adjudicate", root, "--push")
    submit(site, root, "clara", "clara", reading(COMMITMENT))
    submit(site, root, "review", "clara", reading(COMMITMENT, PARTY, AMOUNT))
    command("pull", root)
    command("adjudicate", root, "--pull")
    admin = site.admin()
    (project,) = studio.find(admin, Corpus.load(root).name, "clara")
    tasks = [task.id for task in admin.tasks(project) if task.annotations]
    (made,) = (made for task in admin.export(project, tasks) for made in task.annotations)
    site.call("DELETE", f"/api/annotations/{made.id}/")
    _, told, _ = command("pull", root)
    assert (told["retracted"], (root / "annotators" / "clara.jsonl").read_text()) == (1, "")


def test_suggestions_are_kept_from_reviewers(site, command, root):
    """Of all projects only annotators' are given when none is named."""
    command("push", root, "--project", "clara")
    command("adjudicate", root, "--push")
    corpus = Corpus.load(root)
    found = annotators_projects(site.admin(), corpus)
    assert [project.title for project in found] == [f"{corpus.name} · clara"]


REFUSED = {
    "pull --project review": (
        "project 'review': holds reviews, which are nobody's own reading; "
        "take them as decisions: toolkit adjudicate --pull"
    ),
    "pull --project errors": (
        "project 'errors': holds reviews, which are nobody's own reading; "
        "take them as decisions: toolkit adjudicate --pull"
    ),
    "push --project review": (
        "project 'review': is for reviewers; "
        "toolkit adjudicate --push or toolkit push --errors fills it"
    ),
    "push --project anna --errors p.jsonl": (
        "--errors goes to the project errors; leave --project and --annotators out"
    ),
    "push --errors p.jsonl": "{root}: no gold yet; make it first: toolkit adjudicate",
    "adjudicate --push --pull": ("--push and --pull: one at a time; pull first what was submitted"),
    "adjudicate --pull --decisions d.jsonl": (
        "--pull writes the corpus's decisions.jsonl; leave --decisions out"
    ),
    "adjudicate --pull --version 2": ("--version 2: not three numbers; write it as in 1.4.2"),
    "adjudicate --dry-run": (
        "--dry-run, --version, --new-origin and --url go with --push or --pull"
    ),
}


@pytest.fixture
def fake_root(fake_site, monkeypatch, tmp_path):
    """A copy of the small corpus, and the pretend server to push it to."""
    monkeypatch.setenv("LABEL_STUDIO_URL", fake_site.server.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", fake_site.server.api_key)
    shutil.copytree(SMALL, tmp_path / "small")
    return tmp_path / "small"


@pytest.mark.parametrize("line", REFUSED)
def test_what_does_not_go_together_is_refused(fake_root, capsys, line):
    """One line says why, before anything is sent or written."""
    before = contents(fake_root)
    verb, *options = line.split()
    code, out, err = told_of(capsys)(verb, fake_root, *options)
    assert (code, out) == (2, None)
    assert err == f"error: {REFUSED[line].format(root=fake_root)}\n"
    assert contents(fake_root) == before


def test_gold_is_no_model(fake_root, capsys):
    """Predictions that call themselves gold could not be told from it."""
    told = told_of(capsys)
    told("adjudicate", fake_root)
    path = fake_root.parent / "p.jsonl"
    files.write_jsonl(path, [{"document": "A04", "annotator": "gold", "spans": []}])
    cure = "name the predictions of a model, not gold itself"
    error = f"error: {path}: its predictions call themselves gold; {cure}\n"
    assert told("push", fake_root, "--errors", path) == (2, None, error)


@pytest.mark.parametrize("command", ["push", "adjudicate"])
def test_help_tells_of_the_loop(capsys, monkeypatch, command):
    """The help of both commands says where reviews go and come from."""
    monkeypatch.setenv("COLUMNS", "100")
    assert run([command, "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "project errors" in out
    if command == "push":
        assert "blindness would hide what is to be judged" in out
    else:
        assert "an order that does not tell whose is whose" in out


def test_words_come_without_json(site, command, root, predictions, capsys):
    """For people each step says what it did, line by line."""
    assert run(["push", str(root), "--errors", str(predictions)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "created 3, updated 0, unchanged 0, skipped 0, quarantined 0",
        "3 documents differ in 4 places",
    ]
    submit(site, root, "errors", "vera", reading(COMMITMENT, AMOUNT))
    assert run(["adjudicate", str(root), "--pull"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "taken 1, superseded 0, skipped 0, quarantined 0",
        'A04 18–25 PARTY "Tovland" removed',
        "version 1.2.3 → 1.2.4",
        "6 documents, 26 agreed, 0 decided, 0 disputed",
    ]
    assert run(["adjudicate", str(root), "--pull"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "gold is unchanged"
    assert run(["adjudicate", str(root), "--push"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "created 0, updated 0, unchanged 0, skipped 0, quarantined 0",
        "0 disputes, 0 documents need nothing any more",
    ]


# ── the corpus's version ────────────────────────────────────────────────────────────────────────

VERSIONS = {
    "in quotes": (
        'name: c\nversion: "1.2.3"\nschema: s\n',
        'name: c\nversion: "9.0.1"\nschema: s\n',
    ),
    "in single quotes": (
        "name: c\nschema: s\nversion: '1'\n",
        'name: c\nschema: s\nversion: "9.0.1"\n',
    ),
    "plain, with a remark": (
        "name: c\nversion:  1.2.3 # gold\nschema: s",
        'name: c\nversion:  "9.0.1" # gold\nschema: s',
    ),
    "another's line ends": (
        'name: c\r\nversion: "1.2.3"\r\nschema: s\r\n',
        'name: c\r\nversion: "9.0.1"\r\nschema: s\r\n',
    ),
    "no version": (
        "# c\r\nname: c\r\nschema: s\r\n",
        '# c\r\nversion: "9.0.1"\r\nname: c\r\nschema: s\r\n',
    ),
    "the word elsewhere": (
        "name: c\nschema: s\ndescription: |\n  version: 1.2.3\nversion: 1.2.3\n",
        'name: c\nschema: s\ndescription: |\n  version: 1.2.3\nversion: "9.0.1"\n',
    ),
}


@pytest.mark.parametrize("name", VERSIONS)
def test_only_the_version_changes(tmp_path, name):
    """Of a corpus's description no other byte is touched."""
    before, after = (text.encode() for text in VERSIONS[name])
    path = tmp_path / "corpus.yaml"
    path.write_bytes(before)
    assert with_version(path, "9.0.1").encode() == after


@pytest.mark.parametrize(
    "text", ["name: c\nschema: s\nversion: !!str\n  1.2.3\n", "\n\n{name: c, schema: s}\n"]
)
def test_a_version_that_cannot_be_replaced_is_asked_for(tmp_path, text):
    """A line that holds more or less than the version is left to its writer."""
    path = tmp_path / "corpus.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        with_version(path, "9.0.1")
    what = f"{path}:3: its version does not stand on a line of its own"
    assert str(caught.value) == f"{what}; write there: version: 9.0.1"


def test_the_patch_number_counts_on():
    """Numbers, not digits: after 9 comes 10."""
    corpus = Corpus.load(SMALL)
    described = replace(corpus.info, version="0.5.9")
    assert next_patch(replace(corpus, info=described)) == "0.5.10"


def test_a_secret_is_made_once_and_kept_private(tmp_path, monkeypatch):
    """The order of blind readings stays: its key is made once, for this user's eyes."""
    monkeypatch.setenv("TOOLKIT_HOME", str(tmp_path))
    made = studio.secret("review")
    assert (studio.secret("review"), len(made)) == (made, 64)
    assert studio.secret("pseudonym") != made
    assert (tmp_path / "review.key").stat().st_mode & 0o777 == 0o600
