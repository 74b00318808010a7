"""Several annotators: dealt, suggested to, watched, and what suggestions did; pretend and real server."""

import contextlib
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit import files, studio
from toolkit.cli import run, suggesting
from toolkit.errors import UsageError
from toolkit.schema import Schema
from toolkit.spans import Annotation, Document, Span
from toolkit.studio import pulling
from toolkit.studio.results import to_result

ROOT = Path(__file__).parent.parent
SCHEMA = Schema.load(ROOT / "schemas" / "commitments.yaml")
TEXT = "Paris will pay Rome 5 euros by May."
PARIS, ROME = Span(0, 5, "PARTY", "s1"), Span(15, 19, "PARTY", "s2")
SPLITS = "train: [{}]\nvalidation: [{}]\ntest: [{}]\n"


def documents_of(number):
    """So many documents, each an event of its own."""
    return tuple(Document(f"d{n:02}", f"{TEXT} ({n})", event=f"e{n:02}") for n in range(number))


class Team:
    """A corpus, the site it is pushed to, and the command line between them."""

    def __init__(self, site, root, number, capsys):
        self.site, self.root, self.capsys = site, root, capsys
        self.name = site.corpus()
        self.documents = documents_of(number)
        self.texts = {document.id: document for document in self.documents}
        files.write_text(root / "corpus.yaml", f"name: {self.name}\nschema: commitments\n")
        files.write_jsonl(root / "documents.jsonl", self.documents)

    def say(self, *words):
        """Run a command: its exit code, what it printed and what it said."""
        code = run(list(map(str, words)))
        printed = self.capsys.readouterr()
        return code, printed.out, printed.err

    def tell(self, command, *words):
        """Run a command of this corpus that must succeed; gives its JSON object."""
        code, out, err = self.say(command, self.root, *words, "--json")
        assert (code, out.count("\n")) == (0, 1), err
        return json.loads(out)

    def split(self, train, validation=0):
        """Give the first events to train and the next to validation."""
        events = [document.event for document in self.documents]
        parts = (events[:train], events[train : train + validation], events[train + validation :])
        content = SPLITS.format(*(", ".join(part) for part in parts))
        files.write_text(self.root / "splits.yaml", content)

    def predict(self, *spans, name="predicted.jsonl", **more):
        """A file of predictions of every document; gives its path."""
        plain = [{"start": s.start, "end": s.end, "label": s.label} for s in spans]
        records = [{"document": name, "spans": plain, **more} for name in self.texts]
        path = self.root.parent / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path

    def tasks(self, project):
        """The number of each document's task, in the order of the tasks."""
        admin = self.site.admin()
        (found,) = studio.find(admin, self.name, project)
        return {task.data["document"]: task.id for task in admin.tasks(found)}

    def submit(self, person, project, annotations):
        """Hand in readings as this person."""
        at = self.site.person(person)
        return studio.submit(at, self.name, project, SCHEMA, self.texts, annotations)

    def read(self, annotator):
        """An annotator's readings in the corpus, by document."""
        path = self.root / "annotators" / f"{annotator}.jsonl"
        return {a.document: a for a in files.read_jsonl(path, Annotation)}


@pytest.fixture
def team(site, monkeypatch, capsys, tmp_path):
    """A team's corpus of any number of documents."""
    monkeypatch.setenv("LABEL_STUDIO_URL", site.server.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", site.server.api_key)
    return lambda number=6: Team(site, tmp_path / "c", number, capsys)


@pytest.fixture
def fake_team(fake_site, monkeypatch, capsys, tmp_path):
    """A team's corpus on the pretend server alone."""
    monkeypatch.setenv("TOOLKIT_HOME", str(fake_site.home))
    monkeypatch.setenv("LABEL_STUDIO_URL", fake_site.server.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", fake_site.server.api_key)
    return lambda number=6: Team(fake_site, tmp_path / "c", number, capsys)


# ── dealing ─────────────────────────────────────────────────────────────────────────────────────


def test_each_annotator_gets_a_project_of_their_share(team):
    """Two of three read each document; a second push changes nothing; a new document is dealt too."""
    team = team(9)
    words = ("--annotators", "a1,a2,a3", "--readings", 2)
    planned = team.tell("push", *words, "--dry-run")
    told = team.tell("push", *words)
    dealt = {part["project"]: part["documents"] for part in told["projects"]}
    assert dealt == {"a1": 6, "a2": 6, "a3": 6}
    assert [part["created"] for part in planned["projects"]] == [6, 6, 6]
    assert [told[key] for key in ("documents", "created", "unchanged")] == [9, 18, 0]
    held = {name: team.tasks(name) for name in dealt}
    assert sorted(d for mine in held.values() for d in mine) == sorted([*team.texts] * 2)
    again = team.tell("push", *words)
    assert [again[key] for key in ("created", "updated", "unchanged")] == [0, 0, 18]
    files.write_jsonl(team.root / "documents.jsonl", documents_of(10))
    more = team.tell("push", *words)
    assert [more[key] for key in ("created", "unchanged")] == [2, 18]
    assert {name: set(mine) - set(team.tasks(name)) for name, mine in held.items()} == {
        name: set() for name in dealt
    }


def test_everybody_reads_everything_unless_told_otherwise(fake_team):
    """Without --readings each annotator's project holds every document."""
    team = fake_team(4)
    told = team.tell("push", "--annotators", "a1, a2")
    assert [(p["project"], p["created"]) for p in told["projects"]] == [("a1", 4), ("a2", 4)]


def test_shares_may_differ(fake_team):
    """`a1=2` takes twice as much."""
    told = fake_team(12).tell("push", "--annotators", "a1=2,a2", "--readings", 1)
    assert {p["project"]: p["documents"] for p in told["projects"]} == {"a1": 8, "a2": 4}


def test_dealing_is_told_as_a_table(fake_team):
    """A line for each annotator: how many documents, how many of them new, and where."""
    team = fake_team(4)
    code, out, err = team.say("push", team.root, "--annotators", "a1,a2", "--dry-run")
    lines = [line.split() for line in out.splitlines()]
    assert (code, err, lines[0][:2]) == (0, "", ["created", "8,"])
    assert lines[1] == ["annotator", "documents", "new"]
    assert lines[3:] == [["a1", "4", "4"], ["a2", "4", "4"]]


def test_one_project_may_be_shared(team):
    """With --overlap every document of one project is given to so many annotators."""
    team = team(2)
    assert team.tell("push", "--project", "both", "--overlap", 2)["created"] == 2
    (project,) = studio.find(team.site.admin(), team.name, "both")
    assert project.overlap == 2
    assert team.tell("push", "--project", "both")["unchanged"] == 2
    assert studio.find(team.site.admin(), team.name, "both")[0].overlap == 2


def test_split_and_limit_choose_documents(fake_team):
    """Only a split's documents are sent, and of those the first."""
    team = fake_team(6)
    team.split(3, 2)
    assert team.tell("push", "--split", "train")["created"] == 3
    assert list(team.tasks("main")) == ["d00", "d01", "d02"]
    told = team.tell("push", "--split", "validation", "--limit", 1)
    assert [told[key] for key in ("documents", "created")] == [1, 1]
    assert list(team.tasks("main")) == ["d00", "d01", "d02", "d03"]


SPELLING = "name each once, in small letters, digits, - and _, as a1,a2,a3 or a1=2,a2=1"
REFUSED = {
    "unknown split": (
        "--split dev",
        "--split dev: no such split; choose train, validation, test",
    ),
    "name twice": (
        "--annotators a1,a1",
        f"--annotators a1,a1: 'a1' is no new pseudonym; {SPELLING}",
    ),
    "no pseudonym": (
        "--annotators a1,../x",
        f"--annotators a1,../x: '../x' is no new pseudonym; {SPELLING}",
    ),
    "no share": (
        "--annotators a1=0",
        "--annotators a1=0: a1 cannot take '0' shares; give a whole number from 1",
    ),
    "too many readings": (
        "--annotators a1,a2 --readings 3",
        "--readings 3: there are 2 annotators; name more of them, or ask for fewer readings",
    ),
    "readings of nobody": (
        "--readings 2",
        "--readings 2: whose? Name them with --annotators, or use --overlap for one project",
    ),
    "project and annotators": (
        "--annotators a1 --project x",
        "--annotators makes a blind project for each; leave --project and --overlap out",
    ),
    "control of nothing": (
        "--control 0.2",
        "--control 0.2: of which suggestions? Name their file with --suggestions",
    ),
    "no file of suggestions": (
        "--suggestions nowhere.jsonl",
        "nowhere.jsonl: no such file; make one: toolkit predict",
    ),
    "no model": (
        "--doubtful-first nowhere",
        "nowhere: no model here (no config.cfg); name a folder made by train",
    ),
}


@pytest.mark.parametrize(("words", "line"), REFUSED.values(), ids=REFUSED)
def test_wrong_options_are_refused_with_their_cure(fake_team, words, line):
    """Nothing is sent, and one line says what to do."""
    team = fake_team(3)
    assert team.say("push", team.root, *words.split()) == (2, "", f"error: {line}\n")
    assert studio.find(team.site.admin(), team.name) == []


# ── people ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.studio
def test_several_people_are_invited_at_once(real_site, monkeypatch, capsys):
    """Each gets a login; passwords are shown to a person and never to a program."""
    monkeypatch.setenv("TOOLKIT_HOME", str(real_site.home))
    url = real_site.server.url
    assert run(["studio", "invite", "ana", "ben", "ana", "--json"]) == 0
    out = capsys.readouterr().out
    people = [{"pseudonym": name, "email": f"{name}@example.com"} for name in ("ana", "ben")]
    assert json.loads(out) == {"url": url, "people": people}
    assert run(["studio", "invite", "ana", "ben"]) == 0
    lines = capsys.readouterr().out.splitlines()
    invited = [studio.invite(real_site.server, name) for name in ("ana", "ben")]
    assert lines == [url, *(f"log in as {p.email} with {p.password}" for p in invited)]
    assert [person for person in invited if person.password in out] == []


# ── progress ────────────────────────────────────────────────────────────────────────────────────


def test_progress_adds_up_and_writes_nothing(team):
    """Done, skipped, set aside and open are what was dealt, before and after a pull."""
    team = team(5)
    team.tell("push", "--annotators", "p1,p2")
    one, two, three, four, _ = team.texts
    mine = [
        Annotation(one, "p1", (PARIS,), lead_time=10.0),
        Annotation(two, "p1", lead_time=30.0),
        Annotation(three, "p1", skipped=True, lead_time=500.0),
    ]
    team.submit("p1", "p1", mine)
    wrong = to_result(Annotation(four, "p1", (replace(PARIS, end=999),)), SCHEMA, team.texts[four])
    team.site.person("p1").annotate(team.tasks("p1")[four], wrong)
    before = sorted(team.root.rglob("*"))
    told = team.tell("progress")
    assert sorted(team.root.rglob("*")) == before
    assert team.tell("progress") == told
    first, second = told["projects"]
    assert {key: first[key] for key in first if key not in {"url", "annotators"}} == {
        "project": "p1",
        "documents": 5,
        "readings": 1,
        "dealt": 5,
        "done": 2,
        "skipped": 1,
        "quarantined": 1,
        "open": 1,
    }
    (person,) = first["annotators"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT.*", person.pop("last"))
    counts = {"done": 2, "skipped": 1, "quarantined": 1}
    assert person == {"annotator": "p1", **counts, "seconds": 20.0}
    assert (second["dealt"], second["open"], second["annotators"]) == (5, 5, [])
    assert told["total"] == {"dealt": 10, "done": 2, "skipped": 1, "quarantined": 1, "open": 6}
    assert team.say("pull", team.root, "--json")[0] == 4
    person["last"] = team.tell("progress")["projects"][0]["annotators"][0]["last"]
    assert team.tell("progress") == told


def test_progress_of_a_shared_project_counts_readings(team):
    """Two readings of each document are wanted; each annotator has a line of their own."""
    team = team(3)
    team.tell("push", "--project", "both", "--overlap", 2)
    for name, number in (("p1", 3), ("p2", 1)):
        given = [Annotation(d, name, lead_time=4.0) for d in list(team.texts)[:number]]
        team.submit(name, "both", given)
    (told,) = team.tell("progress")["projects"]
    assert [told[key] for key in ("dealt", "done", "open")] == [6, 4, 2]
    assert [(p["annotator"], p["done"]) for p in told["annotators"]] == [("p1", 3), ("p2", 1)]
    lines = [line.split() for line in team.say("progress", team.root)[1].splitlines()]
    assert [line[:4] for line in lines[2:]] == [
        ["both", "6", "4", "0"],
        ["p1", "3", "0", "0"],
        ["p2", "1", "0", "0"],
    ]


def test_progress_of_what_was_pulled_exports_nothing(fake_team, monkeypatch):
    """An unchanged project is asked for what changed since, and for no annotation."""
    team = fake_team(3)
    team.tell("push")
    team.submit("p1", "main", [Annotation(d, "p1") for d in team.texts])
    # As if a while had passed: a pull looks at what has just changed a second time.
    monkeypatch.setattr(pulling, "OVERLAP", -1)
    team.tell("pull")
    asked = []
    known = studio.Studio.export
    monkeypatch.setattr(
        studio.Studio, "export", lambda *given, **more: asked.append(given) or known(*given, **more)
    )
    told = team.tell("progress")
    assert ([p["done"] for p in told["projects"]], asked) == ([3], [])


def test_progress_before_push_says_what_to_do(fake_team):
    """Without a project there is nothing to tell."""
    team = fake_team(1)
    code, _, err = team.say("progress", team.root)
    url = team.site.server.url
    line = f"error: {url}: no project of {team.name!r}; push it first: toolkit push\n"
    assert (code, err) == (2, line)


# ── suggestions ─────────────────────────────────────────────────────────────────────────────────


def test_suggestions_reach_all_but_the_control_arm(team):
    """Spans get ids, the control arm gets nothing, and a second push adds nothing."""
    team = team(12)
    path = team.predict(PARIS, ROME, annotator="model:cnn")
    words = ("--suggestions", path, "--control", 0.4)
    told = team.tell("push", *words)
    control = {name for name in team.texts if studio.in_control(name, 0.4)}
    assert 0 < len(control) < 12
    counts = (12 - len(control), 12 - len(control), len(control))
    assert (told["suggested"], told["shown"], told["withheld"]) == counts
    admin, tasks = team.site.admin(), team.tasks("main")
    (project,) = studio.find(admin, team.name)
    found = {p.task: (p.model_version, p.result) for p in admin.predictions(project)}
    given = Annotation("", spans=(PARIS, ROME))
    assert found == {
        tasks[name]: ("model:cnn", to_result(given, SCHEMA, document))
        for name, document in team.texts.items()
        if name not in control
    }
    assert project.shown == "model:cnn"
    again = team.tell("push", *words)
    assert [again[key] for key in ("created", "suggested", "shown")] == [0, 0, counts[0]]


def test_who_saw_suggestions_is_pulled(team):
    """Also when they came after the task, and whether the annotator took them or not; nobody else."""
    team = team(4)
    before, taken, redone, held_back = team.texts
    team.tell("push", "--project", "p1")
    team.submit("p1", "p1", [Annotation(before, "p1", (PARIS,))])
    path = team.predict(PARIS, annotator="model:cnn")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [record for record in records if record["document"] != held_back]
    path.write_text("".join(json.dumps(record) + "\n" for record in kept))
    assert team.tell("push", "--project", "p1", "--suggestions", path)["suggested"] == 3
    admin, tasks = team.site.admin(), team.tasks("p1")
    (project,) = studio.find(admin, team.name)
    number = {p.task: p.id for p in admin.predictions(project)}[tasks[taken]]
    # What the labelling page sends when an annotator submits what a suggestion began with.
    result = to_result(Annotation("", spans=(PARIS, ROME)), SCHEMA, team.texts[taken])
    page = [item | {"origin": "prediction"} for item in result]
    team.site.person("p1").annotate(tasks[taken], page, parent_prediction=number, lead_time=3.5)
    given = [Annotation(name, "p1", (ROME,)) for name in (redone, held_back)]
    team.submit("p1", "p1", given)
    team.tell("pull")
    suggested = {name: found.suggested for name, found in team.read("p1").items()}
    assert suggested == {before: "", taken: "model:cnn", redone: "model:cnn", held_back: ""}
    second = team.predict(ROME, name="second.jsonl", annotator="model:second")
    assert team.tell("push", "--project", "p1", "--suggestions", second)["suggested"] == 4
    team.submit("p2", "p1", [Annotation(before, "p2", (PARIS,))])
    team.tell("pull")
    assert team.read("p2")[before].suggested == "model:second"
    assert {name: found.suggested for name, found in team.read("p1").items()} == suggested


@pytest.mark.studio
@pytest.mark.browser
def test_person_in_the_browser_submits_what_was_suggested(
    browser, real_site, monkeypatch, tmp_path
):
    """The page begins with the suggestion; the reading says so, and that of the next document does not."""
    monkeypatch.setenv("TOOLKIT_HOME", str(real_site.home))
    documents = {document.id: document for document in documents_of(2)}
    given = {"d00": [("model:cnn", Annotation("d00", spans=(PARIS, ROME)))]}
    admin, corpus = real_site.admin(), real_site.corpus()
    chosen = list(documents.values())
    pushed = studio.push(admin, corpus, "main", SCHEMA, chosen, suggestions=given)
    person = studio.invite(real_site.server, "hand")
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto(pushed.url)
    page.locator("input[name=email]").fill(person.email)
    page.locator("input[name=password]").fill(person.password)
    page.locator("button[type=submit]").click()
    page.get_by_role("button", name="Label All Tasks").click()
    page.get_by_role("button", name="Close modal").click()
    for document in chosen:
        page.locator(".lsf-htx-richtext").get_by_text(document.text, exact=False).wait_for()
        with page.expect_response(is_submitted) as answer:
            page.get_by_test_id("bottombar-submit-button").click()
        assert answer.value.status == 201
    context.close()
    found, _ = real_site.take(admin, corpus, SCHEMA, documents, tmp_path)
    assert [(a.document, a.suggested, [s.key for s in a.spans]) for a in found] == [
        ("d00", "model:cnn", [PARIS.key, ROME.key]),
        ("d01", "", []),
    ]


def is_submitted(response):
    """Whether the page has sent an annotation."""
    return response.request.method == "POST" and "/annotations" in response.url


def test_invalid_suggestions_are_refused_before_anything_is_sent(fake_team):
    """Every fault is listed with its line, and no project is made."""
    team = fake_team(2)
    path = team.predict(Span(0, 999, "PARTY"), annotator="model:cnn")
    code, _, err = team.say("push", team.root, "--suggestions", path)
    assert (code, len(err.splitlines())) == (3, 2)
    assert err.startswith(f"error: {path}:1: d00: ")
    assert studio.find(team.site.admin(), team.name) == []


def test_model_is_called_after_the_file_when_records_do_not_say(fake_team):
    """The minimum that other programs write is enough; several models in a file are not."""
    team = fake_team(2)
    path = team.predict(PARIS, name="theirs.jsonl")
    corpus = suggesting_corpus(team)
    assert suggesting.Predictions.read(path, corpus).model == "model:theirs"
    lines = path.read_text().splitlines()
    records = [json.loads(line) | {"annotator": f"m{n}"} for n, line in enumerate(lines)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(UsageError) as refused:
        suggesting.Predictions.read(path, corpus)
    line = f"{path}: predictions of several models (m0, m1); keep one model's in a file"
    assert str(refused.value) == line


def suggesting_corpus(team):
    """The team's corpus as the library loads it."""
    from toolkit.corpus import Corpus

    return Corpus.load(team.root)


def test_ids_that_are_given_stay(fake_team):
    """Only spans without an id get one, and none that is taken."""
    team = fake_team(1)
    spans = [{"start": 0, "end": 5, "label": "PARTY"}, {"id": "s1", "start": 15, "end": 19}]
    record = {"document": "d00", "spans": [spans[0], spans[1] | {"label": "PARTY"}]}
    path = team.root.parent / "p.jsonl"
    path.write_text(json.dumps(record) + "\n")
    found = suggesting.Predictions.read(path, suggesting_corpus(team)).readings["d00"]
    assert [(span.start, span.id) for span in found.spans] == [(0, "s2"), (15, "s1")]


# ── the doubtful first ──────────────────────────────────────────────────────────────────────────


def test_doubtful_documents_come_first(fake_team):
    """Unread ones alone, by doubt; those that are there keep their place, which is said."""
    team = fake_team(5)
    doubts = {"d00": 0.1, "d01": 0.9, "d02": 0.4, "d03": 0.9, "d04": 0.2}
    path = team.root.parent / "doubts.jsonl"
    lines = [{"document": name, "doubt": doubt} for name, doubt in doubts.items()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    corpus = suggesting_corpus(team)
    corpus.save("a9", [Annotation("d01", "a9")])
    words = ("--doubtful-first", path, "--limit", 2)
    told = team.tell("push", *words)
    assert (told["documents"], told["messages"]) == (2, [])
    assert list(team.tasks("main")) == ["d03", "d02"]
    told = team.tell("push", *words[:2])
    kept = "main: 2 of 4 documents were there already and keep their place"
    assert (told["created"], told["messages"]) == (2, [kept])
    assert list(team.tasks("main")) == ["d03", "d02", "d04", "d00"]


def test_a_score_is_the_other_side_of_doubt(fake_team):
    """Records with a score are ordered by it, least first."""
    team = fake_team(3)
    path = team.root.parent / "scores.jsonl"
    lines = [{"document": f"d0{n}", "score": score} for n, score in enumerate((0.5, 1, 0))]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    corpus = suggesting_corpus(team)
    found = suggesting.doubtful_first(corpus, corpus.documents, path)
    assert [document.id for document in found] == ["d02", "d00", "d01"]


def test_doubt_that_is_missing_is_no_certainty(fake_team):
    """A document without a doubt is a fault, and so is a number that can be none."""
    team = fake_team(3)
    path = team.root.parent / "doubts.jsonl"
    path.write_text('{"document":"d00","doubt":0.5}\n')
    code, _, err = team.say("push", team.root, "--doubtful-first", path)
    line = f"error: {path}: nothing about 2 documents (d01, d02); predict them too\n"
    assert (code, err) == (3, line)
    path.write_text('{"document":"d00","doubt":7}\n{"document":"d01"}\n')
    code, _, err = team.say("push", team.root, "--doubtful-first", path)
    cure = "no doubt or score from 0 to 1; add one to the record"
    lines = [f"error: {path}:1: d00: {cure}", f"error: {path}:2: d01: {cure}"]
    assert (code, err.splitlines()) == (3, lines)


# ── what suggestions did ────────────────────────────────────────────────────────────────────────


def influenced(team, control):
    """Readings of a person who took every suggestion and otherwise overlooked Rome; the predictions."""
    path = team.predict(PARIS, ROME, annotator="model:cnn")
    texts = team.texts
    readings = [
        Annotation(
            name, "p1", (PARIS,) if held else (PARIS, ROME), suggested="" if held else "model:cnn"
        )
        for name in texts
        for held in [studio.in_control(name, control)]
    ]
    suggesting_corpus(team).save("p1", readings)
    return path


def test_anchoring_is_what_the_arms_differ_by(fake_team):
    """Shown readings equal the model, the others lack half of it: F1 1 against 2/3."""
    team = fake_team(40)
    path = influenced(team, 0.5)
    told = team.tell("agreement", "--suggestions", path)
    control = sum(studio.in_control(name, 0.5) for name in team.texts)
    shown, held = told["shown"], told["control"]
    assert (shown["documents"], held["documents"]) == (40 - control, control)
    assert (shown["kept"], shown["removed"], held["kept"], held["removed"]) == (
        2 * (40 - control),
        0,
        control,
        control,
    )
    assert (told["model"], told["annotators"], told["by_lot"]) == ("model:cnn", ["p1"], True)
    assert told["anchoring"] == pytest.approx(1 / 3)
    assert told["interval"] == pytest.approx([1 / 3, 1 / 3])
    _, out, _ = team.say("agreement", team.root, "--suggestions", path)
    assert out.splitlines()[0] == "p1 beside model:cnn"
    assert out.splitlines()[-1] == "anchoring +0.333, 95 % +0.333 to +0.333"


def test_nothing_is_claimed_of_few_documents(fake_team):
    """The reason stands where the estimate would."""
    team = fake_team(6)
    path = influenced(team, 0.0)
    told = team.tell("agreement", "--suggestions", path)
    why = "6 documents in the shown arm; at least 10 are needed"
    assert (told["anchoring"], told["interval"], told["unclaimed"]) == (None, None, why)
    _, out, _ = team.say("agreement", team.root, "--suggestions", path)
    assert out.splitlines()[-1] == f"nothing can be claimed of anchoring: {why}"


def test_arms_that_no_lot_divided_are_told(fake_team):
    """Readings made before suggestions began are no control arm by lot."""
    team = fake_team(40)
    path = influenced(team, 0.5)
    corpus = suggesting_corpus(team)
    moved = [
        replace(a, suggested="model:cnn" if number < 20 else "")
        for number, a in enumerate(corpus.annotations("p1"))
    ]
    corpus.save("p1", moved)
    assert team.tell("agreement", "--suggestions", path)["by_lot"] is False
    _, out, _ = team.say("agreement", team.root, "--suggestions", path)
    why = "the arms were not divided by lot, so that other differences may explain it"
    assert out.splitlines()[-1].endswith(f"; {why}")


def test_only_people_and_this_model_count(fake_team):
    """Models' readings, another model's suggestions and mixed documents are left out."""
    team = fake_team(4)
    path = team.predict(PARIS, annotator="model:cnn")
    corpus = suggesting_corpus(team)
    shown = ["model:cnn", "cnn-0a1b2c3d", "model:other", ""]
    pairs = list(zip(team.texts, shown, strict=True))
    corpus.save("p1", [Annotation(name, "p1", (PARIS,), suggested=of) for name, of in pairs])
    corpus.save("p2", [Annotation(name, "p2", (PARIS,)) for name, _ in pairs])
    corpus.save("m1", [Annotation(name, "m1", (PARIS,)) for name, _ in pairs])
    kinds = "annotators:\n  m1: {kind: model}\n  p1: {kind: person}\n"
    files.write_text(team.root / "corpus.yaml", (team.root / "corpus.yaml").read_text() + kinds)
    told = team.tell("agreement", "--suggestions", path)
    assert told["annotators"] == ["p1", "p2"]
    assert (told["shown"]["readings"], told["control"]["readings"]) == (2, 3)
    assert (told["left_out"], told["other_models"]) == (3, {"model:other": 1})


def test_questions_are_asked_one_at_a_time(fake_team):
    """By parts or by suggestions; and of people's readings only."""
    team = fake_team(1)
    path = team.predict(PARIS)
    code, _, err = team.say("agreement", team.root, "--by", "event", "--suggestions", path)
    line = "error: --by and --suggestions: two questions; ask one at a time\n"
    assert (code, err) == (2, line)
    code, _, err = team.say("agreement", team.root, "--suggestions", path)
    line = f"{team.root}: no person's readings; pull some, or see the kinds in corpus.yaml"
    assert (code, err) == (2, f"error: {line}\n")


# ── a whole round ───────────────────────────────────────────────────────────────────────────────


def test_no_address_is_in_any_record(team):
    """Dealt, suggested to, annotated, watched and pulled: no file of the corpus has an e-mail address."""
    team = team(4)
    path = team.predict(PARIS, annotator="model:cnn")
    team.tell("push", "--annotators", "p1,p2", "--suggestions", path, "--control", 0.5)
    for name in ("p1", "p2"):
        team.submit(name, name, [Annotation(d, name, (PARIS,)) for d in team.texts])
    told = [team.tell(command) for command in ("progress", "pull", "agreement")]
    told.append(team.tell("agreement", "--suggestions", path))
    written = {file for file in team.root.rglob("*") if file.is_file()}
    assert {file.name for file in written} >= {"p1.jsonl", "p2.json", "p2.jsonl"}
    addresses = [email.encode() for email in team.site.admin().emails().values()]
    assert {b"p1@example.com", b"p2@example.com"} <= set(addresses)
    texts = [file.read_bytes() for file in written] + [json.dumps(told).encode()]
    assert [email for email in addresses for text in texts if email in text] == []
    assert [text for text in texts if b"@example" in text] == []


# ── the pages ───────────────────────────────────────────────────────────────────────────────────

SMALL = Path(__file__).parent / "data" / "small"
STEPS = [
    *("--set", "training.max_steps=2"),
    *("--set", "components.tok2vec.model.encode.width=16"),
    *("--set", "components.tok2vec.model.embed.rows=[100,100,100,100]"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that has learnt little."""
    root = tmp_path_factory.mktemp("made")
    shutil.copytree(SMALL, root / "small")
    with contextlib.redirect_stdout(io.StringIO()):
        assert run(["adjudicate", str(root / "small")]) == 0
        assert run(["build", str(root / "small"), "-o", str(root / "dataset")]) == 0
        assert run(["train", str(root / "dataset"), "-o", str(root / "model"), *STEPS]) == 0
    return root / "model"


@pytest.fixture
def desk(fake_team, model, monkeypatch):
    """A folder as the pages presume it: a corpus that nobody has read, and a model."""
    team = fake_team(0)
    folder = team.root.parent
    team.root = folder / "annotations" / "deals"
    shutil.copytree(SMALL, team.root, ignore=shutil.ignore_patterns("annotators", "decisions*"))
    content = f"name: {team.name}\nschema: commitments\n"
    files.write_text(team.root / "corpus.yaml", content)
    (folder / "build").mkdir()
    (folder / "build" / "model").symlink_to(model)
    monkeypatch.chdir(folder)
    team.texts = suggesting_corpus(team).texts
    return team


def annotated(team):
    """Everybody reads what their own project has, and two people what all share has."""
    readings = files.read_jsonl(SMALL / "annotators" / "a1.jsonl", Annotation)
    for project in studio.find(team.site.admin(), team.name):
        name = project.description.rpartition("/")[2].removesuffix("]")
        held = team.tasks(name)
        for person in ("anna", "ben") if name == "team" else (name,):
            team.submit(person, name, [a for a in readings if a.document in held])


@pytest.mark.parametrize("page", ["teams", "suggestions"])
def test_every_command_of_the_page_runs(desk, page):
    """The commands behind a `$`, one after the other; before a pull the annotators have worked."""
    text = (ROOT / "docs" / f"{page}.md").read_text()
    lines = re.findall(r"^\$ toolkit (.*)$", text, re.MULTILINE)
    assert len(lines) >= 4
    failures = {}
    for line in lines:
        if line.startswith("pull"):
            annotated(desk)
        code, out, err = desk.say(*line.split())
        if code or not out:
            failures[line] = (code, out, err)
    assert failures == {}


def test_model_chooses_what_is_read_next(desk, model):
    """A model's folder orders the documents by its own doubt; a second push has nothing to do."""
    from toolkit import ner

    corpus = suggesting_corpus(desk)
    doubts = dict(zip(desk.texts, ner.load(model).doubt(corpus.documents), strict=True))
    words = ("--doubtful-first", "build/model", "--limit", 3)
    assert desk.tell("push", *words)["created"] == 3
    assert list(desk.tasks("main")) == sorted(doubts, key=lambda name: (-doubts[name], name))[:3]
    assert desk.tell("push", *words)["created"] == 0
