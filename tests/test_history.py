"""What a pull leaves behind: append-only events, a manifest that adds up, files that follow from both."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit import cli, files, studio
from toolkit.schema import Schema
from toolkit.spans import Annotation, Document, Span
from toolkit.studio.history import Event, History

ROOT = Path(__file__).parent.parent
SCHEMA = Schema.load(ROOT / "schemas" / "commitments.yaml")
TEXT = "Paris will pay Rome 5 euros by May."
DOCUMENTS = [Document(f"d{number}", f"{TEXT} ({number})") for number in range(4)]


def region(end, label="PARTY", start=0):
    """A region as Label Studio keeps it."""
    value = {"start": start, "end": end, "labels": [label]}
    return {"id": "r", "from_name": "label", "to_name": "text", "type": "labels", "value": value}


@pytest.fixture
def team(site, tmp_path, monkeypatch, capsys):
    """A pushed corpus, its server, and one who pulls it."""
    monkeypatch.setenv("LABEL_STUDIO_URL", site.server.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", site.server.api_key)
    return Team(site, tmp_path / "c", site.corpus(), capsys)


class Team:
    """A corpus and those who work on it."""

    def __init__(self, site, root, name, capsys):
        self.site, self.root, self.capsys = site, root, capsys
        files.write_text(root / "corpus.yaml", f"name: {name}\nschema: commitments\n")
        files.write_jsonl(root / "documents.jsonl", DOCUMENTS)
        admin = site.admin()
        studio.push(admin, name, "main", SCHEMA, DOCUMENTS)
        (self.project,) = studio.find(admin, name)
        self.tasks = {t.data["document"]: t.id for t in admin.tasks(self.project)}
        self.person = site.person("a1")

    def annotate(self, document, *result, **facts):
        """Submit as a1; gives the annotation's number."""
        self.person.annotate(self.tasks[document], list(result), **facts)
        (task,) = self.person.export(self.project, [self.tasks[document]])
        return max(made.id for made in task.annotations)

    def run(self, *words):
        """Run a command on the corpus: its exit code and what it told."""
        code = cli.run([words[0], str(self.root), *words[1:], "--json"])
        told = self.capsys.readouterr()
        return code, json.loads(told.out) if told.out else told.err

    def pull(self):
        """Pull, which must do all its work: what was told."""
        code, told = self.run("pull")
        assert code == 0
        return told

    @property
    def events(self):
        """The events in the file."""
        return [Event.read(line) for _, _, line in files.read_lines(self.history.path)]

    @property
    def history(self):
        """The project's history as it is on the disk."""
        return History(self.root, "main")

    @property
    def ends(self):
        """Where a1's spans end, by document."""
        path = self.root / "annotators" / "a1.jsonl"
        found = files.read_jsonl(path, Annotation) if path.is_file() else []
        return {a.document: [span.end for span in a.spans] for a in found}


def state(root):
    """Every file below with its bytes and its time."""
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def counted(told):
    """What a pull counted: created, updated, unchanged, retracted."""
    return [told[key] for key in ("created", "updated", "unchanged", "retracted")]


def test_every_annotation_is_an_event_and_is_accounted_for(team):
    """The manifest counts what the server has and what became of each; `check` finds no fault."""
    team.annotate("d0", region(5))
    team.annotate("d1", region(5))
    team.annotate("d1", region(10))
    team.annotate("d2", was_cancelled=True, lead_time=3.0)
    told = team.pull()
    assert counted(told) == [3, 0, 0, 0]
    assert team.ends == {"d0": [5], "d1": [10], "d2": []}
    sealed = team.history.manifest
    assert (sealed.tasks, sealed.untouched, sealed.annotations, sealed.lines) == (4, 1, 4, 4)
    assert (sealed.read, sealed.skipped, sealed.superseded, sealed.quarantined) == (2, 1, 1, 0)
    assert [(e.document, e.annotator, e.skipped) for e in team.events] == [
        ("d0", "a1", False),
        ("d1", "a1", False),
        ("d1", "a1", False),
        ("d2", "a1", True),
    ]
    assert all(event.genuine for event in team.events)
    assert studio.verify(team.root) == []
    assert cli.run(["check", str(team.root)]) == 0


def test_pull_again_touches_no_file(team):
    """Nothing new on the server: not a byte and not a time of any file changes."""
    team.annotate("d0", region(5))
    team.annotate("d1", region(9999))
    assert team.run("pull")[0] == 4
    before = state(team.root)
    code, told = team.run("pull")
    assert (code, counted(told), told["quarantined"]) == (4, [0, 0, 1, 0], 1)
    assert state(team.root) == before


def test_edit_supersedes_and_keeps_the_old_line(team):
    """An edited annotation is a second event behind the first, which stays as it was."""
    number = team.annotate("d0", region(5))
    team.pull()
    before = team.history.path.read_bytes()
    team.site.call("PATCH", f"/api/annotations/{number}/", json={"result": [region(10)]})
    told = team.pull()
    assert counted(told) == [0, 1, 0, 0]
    assert team.history.path.read_bytes().startswith(before)
    first, second = team.events
    assert (second.supersedes, second.annotation) == (first.id, number)
    assert [item["value"]["end"] for item in first.result + second.result] == [5, 10]
    assert team.ends == {"d0": [10]}


def test_saving_again_without_a_change_is_no_event(team):
    """What an annotation says decides, not when it was written."""
    number = team.annotate("d0", region(5))
    team.pull()
    before = state(team.root / "history")
    team.site.call("PATCH", f"/api/annotations/{number}/", json={"result": [region(5)]})
    assert counted(team.pull()) == [0, 0, 1, 0]
    assert len(team.events) == 1
    assert [content for content, _ in state(team.root / "history").values()] == [
        content for content, _ in before.values()
    ]


@pytest.mark.parametrize("what", ["annotation", "task"])
def test_what_is_deleted_is_retracted_not_erased(team, what):
    """The reading leaves the annotator's file; the history says what it was and that it is gone."""
    number = team.annotate("d0", region(5))
    team.annotate("d1", region(5))
    team.pull()
    path = f"/api/tasks/{team.tasks['d0']}/" if what == "task" else f"/api/annotations/{number}/"
    team.site.call("DELETE", path)
    told = team.pull()
    assert counted(told) == [0, 0, 1, 1]
    assert team.ends == {"d1": [5]}
    first, _, gone = team.events
    assert (gone.retracted, gone.supersedes, gone.annotation) == (True, first.id, number)
    assert studio.verify(team.root) == []
    assert counted(team.pull()) == [0, 0, 1, 0]


def test_user_who_left_keeps_the_name_they_had(team):
    """Who made a reading that was pulled in time is known for ever."""
    team.person = team.site.person("leaver3")
    team.annotate("d0", region(5))
    team.pull()
    path = team.root / "annotators" / "leaver3.jsonl"
    before = path.read_bytes()
    team.site.call("DELETE", f"/api/users/{team.person.user}/")
    team.site.admin().annotate(team.tasks["d0"], [region(10)])
    assert (team.pull()["quarantined"], path.read_bytes()) == (0, before)


def test_new_document_in_the_corpus_frees_what_was_set_aside(team):
    """A reading of a task nobody knew is read once the corpus has its document, without a new push."""
    stranger = replace(DOCUMENTS[0], id="d9")
    task = {"document": "d9", "title": "", "text": stranger.text}
    path = f"/api/projects/{team.project.id}/import?return_task_ids=true"
    (team.tasks["d9"],) = team.site.call("POST", path, json=[{"data": task}])["task_ids"]
    team.annotate("d9", region(5))
    code, told = team.run("pull")
    assert (code, told["quarantined"], team.ends) == (4, 1, {})
    files.write_jsonl(team.root / "documents.jsonl", [*DOCUMENTS, stranger])
    assert team.pull()["created"] == 1
    assert (team.ends, (team.root / "quarantine.jsonl").exists()) == ({"d9": [5]}, False)


def test_hand_edited_file_is_set_right_by_the_next_pull(team):
    """The annotators' files follow from the history; one that was changed is made anew."""
    team.annotate("d0", region(5))
    team.pull()
    path = team.root / "annotators" / "a1.jsonl"
    before = path.read_bytes()
    path.write_bytes(before.replace(b"PARTY", b"DATE"))
    assert counted(team.pull()) == [0, 1, 0, 0]
    assert path.read_bytes() == before
    path.unlink()
    assert counted(team.pull()) == [1, 0, 0, 0]
    assert path.read_bytes() == before


def test_dry_run_of_a_pull_writes_nothing(team):
    """It says what would come."""
    team.annotate("d0", region(5))
    before = state(team.root)
    code, told = team.run("pull", "--dry-run")
    assert (code, told["created"], told["dry_run"]) == (0, 1, True)
    assert state(team.root) == before


def test_no_address_in_any_file(team):
    """Events, manifests and readings know pseudonyms only."""
    team.annotate("d0", region(5))
    team.site.admin().annotate(team.tasks["d1"], [region(5)])
    team.pull()
    for path in team.root.rglob("*"):
        if path.is_file():
            assert b"@" not in path.read_bytes().replace(b"commitments@", b"")


def test_who_saw_suggestions_is_kept(team):
    """A reading made with a model's suggestions before the annotator says whose they were."""
    reading = Annotation("d0", "model:m", (Span(0, 5, "PARTY", "s1"),))
    name = team.project.description.rpartition(":")[2].partition("/")[0]
    done = studio.push(
        team.site.admin(),
        name,
        "main",
        SCHEMA,
        DOCUMENTS,
        suggestions={"d0": [("model:m", reading)]},
    )
    assert (done.suggested, done.created) == (1, 0)
    (prediction,) = team.site.call("GET", f"/api/predictions/?task={team.tasks['d0']}")
    assert (prediction["model_version"], len(prediction["result"])) == ("model:m", 1)
    again = studio.push(
        team.site.admin(),
        name,
        "main",
        SCHEMA,
        DOCUMENTS,
        suggestions={"d0": [("model:m", reading)]},
    )
    assert again.suggested == 0


SPOILT = {
    "a flipped letter": (lambda b: b.replace(b"PARTY", b"PARTX", 1), "is not what was pulled"),
    "a line cut short": (lambda b: b[:-9], "not an event"),
    "a lost line": (lambda b: b.split(b"\n", 1)[1], "which does not stand before it"),
    "another order": (
        lambda b: b"\n".join([*b.split(b"\n")[1:2], *b.split(b"\n")[:1], b""]),
        "which does not stand before it",
    ),
    "other line ends": (lambda b: b.replace(b"\n", b"\r\n"), "the line ends in CRLF"),
    "an unfinished merge": (lambda b: b"<<<<<<< ours\n" + b, "a merge was not finished here"),
}


@pytest.mark.parametrize(("spoil", "told"), SPOILT.values(), ids=SPOILT)
def test_spoilt_history_is_found(fake_site, tmp_path, monkeypatch, capsys, spoil, told):
    """Whatever happened to the file of events, `check` names the file, the line and the cure."""
    monkeypatch.setenv("TOOLKIT_HOME", str(fake_site.home))
    monkeypatch.setenv("LABEL_STUDIO_URL", fake_site.server.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", fake_site.server.api_key)
    team = Team(fake_site, tmp_path / "c", fake_site.corpus(), capsys)
    number = team.annotate("d0", region(5))
    team.pull()
    team.site.call("PATCH", f"/api/annotations/{number}/", json={"result": [region(10)]})
    team.pull()
    path = team.history.path
    path.write_bytes(spoil(path.read_bytes()))
    faults = studio.verify(team.root)
    assert any(told in fault.what for fault in faults), faults
    assert {fault.place for fault in faults} <= {str(path), str(team.history.manifest_path)}
    assert cli.run(["check", str(team.root)]) != 0


def test_manifest_that_does_not_add_up_is_found(tmp_path):
    """Annotations that are neither read nor set aside would be lost ones."""
    history = History(tmp_path, "main")
    place = {"origin": "o", "task": 1, "annotation": 2, "written": "2031-01-01T00:00:00.000000Z"}
    said = {"document": "d0", "annotator": "a1", "text": "0", "result": []}
    assert history.add([Event.of(place, said)] * 2) == 1
    from toolkit.studio.history import Manifest

    wrong = Manifest("main", "o", 4, 2, 2, 1, 0, 0, 0, 0, "", "s", "d")
    history.write(wrong)
    (fault,) = studio.verify(tmp_path)
    assert (fault.what, fault.rule) == (
        "1 annotations are accounted for, of 2 on the server",
        "conservation",
    )
