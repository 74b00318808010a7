"""The corpus that ships is sound and canonical; what is wrong with any corpus is named with its line."""

import json
import re
import shutil
from collections import Counter
from dataclasses import replace

import pytest

from toolkit import files
from toolkit.audit import gate
from toolkit.corpus import Annotator, Corpus, CorpusInfo, Splits, check, read_predictions
from toolkit.errors import InvalidDataError, UsageError
from toolkit.schema import ZONES
from toolkit.spans import GOLD, Annotation, Document, Relation, Span, overlapping

COMMUNIQUE = files.resource("annotations/communique")
SCHEMA = files.resource("schemas/commitments.yaml")


@pytest.fixture(scope="module")
def corpus():
    """The corpus that ships."""
    return Corpus.load(COMMUNIQUE)


@pytest.fixture(scope="module")
def gold(corpus):
    """Its gold."""
    return corpus.annotations(GOLD)


# ── the corpus that ships ───────────────────────────────────────────────────────────────────────


def test_the_corpus_that_ships_has_no_faults(corpus):
    """Every file of it was read and checked."""
    faults, counts = check(COMMUNIQUE)
    readings = [a for name in (*corpus.annotators, GOLD) for a in corpus.annotations(name)]
    assert faults == []
    assert counts == Counter(
        documents=len(corpus.documents),
        annotations=len(readings),
        spans=sum(len(a.spans) for a in readings),
        relations=sum(len(a.relations) for a in readings),
    )


def test_every_document_of_dev_and_test_is_read_twice_and_all_are_adjudicated(corpus):
    """Outside train two whole readings; in train one whole reading at least."""
    documents = [document.id for document in corpus.documents]
    assert [a.document for a in corpus.annotations(GOLD)] == documents
    readings = {n: {a.document for a in corpus.annotations(n)} for n in corpus.annotators}
    splits = corpus.splits()
    for document in corpus.documents:
        readers = {name for name, read in readings.items() if document.id in read}
        whole = readers - corpus.spans_only
        assert len(whole) >= (1 if splits.of(document.event) == "train" else 2), document.id


def test_the_corpus_that_ships_passes_the_gate(corpus):
    """No leak, no file changed since it was frozen, no slice that its rule would not give."""
    assert gate(corpus) == []
    assert (corpus.root / "SHA256SUMS").is_file()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("documents.jsonl", Document),
        ("gold.jsonl", Annotation),
        ("annotators/a1.jsonl", Annotation),
        ("annotators/a2.jsonl", Annotation),
    ],
)
def test_files_are_canonical(tmp_path, name, kind):
    """Sorted by document; reading and writing gives the same bytes."""
    records = files.read_jsonl(COMMUNIQUE / name, kind)
    files.write_jsonl(tmp_path / "again.jsonl", records)
    assert (tmp_path / "again.jsonl").read_bytes() == (COMMUNIQUE / name).read_bytes()
    order = [record.id if kind is Document else record.document for record in records]
    assert order == sorted(order)


def test_saving_readings_again_changes_nothing(tmp_path):
    """Spans and relations are in canonical order, surfaces are those of the text."""
    shutil.copytree(COMMUNIQUE, tmp_path / "copy")
    corpus = Corpus.load(tmp_path / "copy")
    for name in (*corpus.annotators, GOLD):
        assert corpus.save(name, reversed(corpus.annotations(name))) is False


def test_zones_tile_their_pages(corpus):
    """In order, apart, with nothing but white space between them, each of a known kind."""
    for document in corpus.documents:
        edges = [0, *(e for zone in document.zones for e in (zone.start, zone.end))]
        edges.append(len(document.text))
        assert edges == sorted(edges)
        gaps = [document.text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]
        assert "".join(gaps).strip() == ""
        assert {zone.zone for zone in document.zones} <= set(ZONES)


def test_every_surface_is_the_text_at_its_offsets(corpus):
    """Offsets count code points, for annotators as for gold."""
    for name in (*corpus.annotators, GOLD):
        for annotation in corpus.annotations(name):
            text = corpus.texts[annotation.document].text
            assert [text[s.start : s.end] for s in annotation.spans] == [
                span.text for span in annotation.spans
            ]
            assert all(span.text == span.text.strip() != "" for span in annotation.spans)


def test_nothing_is_annotated_in_boilerplate(corpus):
    """Page furniture promises nothing (guideline, Zones)."""
    for name in (*corpus.annotators, GOLD):
        for annotation in corpus.annotations(name):
            zones = corpus.texts[annotation.document].zones
            furniture = [Span(z.start, z.end, "") for z in zones if z.zone == "boilerplate"]
            assert not [s for s in annotation.spans if any(s.overlaps(f) for f in furniture)]


def test_every_gold_span_lies_in_one_zone(corpus, gold):
    """A label never runs from a headline into the body."""
    for annotation in gold:
        zones = corpus.texts[annotation.document].zones
        assert all(
            sum(zone.start <= span.start and span.end <= zone.end for zone in zones) == 1
            for span in annotation.spans
        )


def test_gold_layers_are_flat(corpus, gold):
    """So that each is one column of tags."""
    for annotation in gold:
        for layer in corpus.schema.layers:
            assert list(overlapping(annotation.layer(layer.names))) == []


def test_every_gold_span_and_relation_says_where_it_comes_from(corpus, gold):
    """Agreed, decided, so that the decision can be found, or by one alone.

    A span rests on one reader alone only where one reader alone read the document; a relation may.
    """
    decided = {d["item"] for d in files.iter_jsonl(COMMUNIQUE / "decisions.jsonl")}
    readings = [{a.document for a in corpus.annotations(name)} for name in corpus.annotators]
    for annotation in gold:
        relations = {f"{r.type}:{r.head}:{r.tail}" for r in annotation.relations}
        spans = {span.id for span in annotation.spans}
        assert spans | relations <= annotation.provenance.keys()
        alone = sum(annotation.document in read for read in readings) == 1
        by_one = {annotation.provenance[s] for s in spans if "only" in annotation.provenance[s]}
        assert by_one <= ({"only a1"} if alone else set())
        sources = set(annotation.provenance.values()) - {"agreed", "only a1", "only a2"}
        assert {source.removeprefix("decided ") for source in sources} <= decided


def test_every_gold_commitment_is_one_of_its_event(corpus, gold):
    """Its id stands in the registry, under the document's own event, or it is marked as NEW there."""
    known = {
        event["event"]: {c["id"] for part in ("commitments", "background") for c in event[part]}
        for event in corpus.registry()
    }
    for annotation in gold:
        event = corpus.texts[annotation.document].event
        ids = [s.attributes.get("commitment_id") for s in annotation.layer(["COMMITMENT"])]
        assert [i for i in ids if i not in {*known[event], "NEW"}] == []


def test_every_gold_commitment_has_all_required_attributes(corpus, gold):
    """Gold leaves nothing undecided."""
    required = {a.name for a in corpus.schema.attributes if a.required}
    for annotation in gold:
        for span in annotation.layer(["COMMITMENT"]):
            assert required <= span.attributes.keys()


def test_decisions_cite_a_rule_of_the_guideline(corpus):
    """Each names a rule the guideline has, or the registry, and who decided."""
    for decision in files.iter_jsonl(COMMUNIQUE / "decisions.jsonl"):
        rule = decision["rule"]
        assert rule == "registry" or re.search(rf"\b{rule}\b", corpus.schema.guideline)
        assert decision["adjudicator"] in corpus.info.annotators
        assert decision["item"].split("/")[0] in corpus.texts


def test_nothing_is_left_in_dispute():
    """Gold is complete."""
    assert list(files.iter_jsonl(COMMUNIQUE / "disputed.jsonl")) == []


def test_splits_hold_every_event_once(corpus):
    """Whole and disjoint."""
    splits = corpus.splits()
    placed = [*splits.train, *splits.validation, *splits.test]
    assert sorted(placed) == sorted({document.event for document in corpus.documents})
    assert sorted(placed) == sorted(event["event"] for event in corpus.registry())


def test_real_events_are_for_testing_only(corpus):
    """What is learnt from is invented."""
    real = {event["event"] for event in corpus.registry() if event["real"]}
    assert real <= set(corpus.splits().test)


def test_the_description_is_honest_about_who_wrote_and_who_annotated(corpus):
    """Everyone behind a reading is named with their kind, and so is how the texts were made."""
    assert set(corpus.annotators) <= corpus.info.annotators.keys()
    assert {annotator.kind for annotator in corpus.info.annotators.values()} == {"model"}
    assert corpus.info.texts.startswith("Written by language models from notes")


def test_the_fingerprint_changes_with_what_a_score_depends_on(tmp_path):
    """Documents, gold, splits and schema; not an annotator's file."""
    root = tmp_path / "annotations" / "x"
    shutil.copytree(COMMUNIQUE, root)
    elsewhere = replace(Corpus.load(COMMUNIQUE), root=root)
    seen = [elsewhere.sha256]
    for name in ("gold.jsonl", "splits.yaml", "documents.jsonl"):
        with (root / name).open("a") as handle:
            handle.write("\n")
        seen.append(elsewhere.sha256)
    schema = replace(elsewhere.schema, sha256="other")
    seen.append(replace(elsewhere, schema=schema).sha256)
    assert seen[0] == Corpus.load(COMMUNIQUE).sha256
    assert len(set(seen)) == 5
    (root / "annotators" / "a1.jsonl").write_text("")
    assert elsewhere.sha256 == seen[3]


WHOLE = {"kind": "plan", "status": "asserted", "polarity": "+", "specificity": "vague"}

# ── any corpus ──────────────────────────────────────────────────────────────────────────────────

DOCUMENTS = (
    Document("d1", "Paris will pay Rome in May.", "e1"),
    Document("d2", "Oslo agreed to wait.", "e2"),
)
GOLD_READINGS = (
    Annotation(
        "d1",
        GOLD,
        (
            Span(0, 19, "COMMITMENT", "s1", attributes={**WHOLE, "commitment_id": "e1-c1"}),
            Span(0, 5, "PARTY", "s2"),
        ),
        (Relation("promisor", "s1", "s2"),),
    ),
    Annotation("d2", GOLD),
)


@pytest.fixture
def make(tmp_path):
    """Write a small corpus, with some of its files replaced, and give its folder."""

    def made(**replaced):
        root = tmp_path / "small"
        info = CorpusInfo("small", "commitments", annotators={"a1": Annotator("person")})
        files.write_yaml(root / "corpus.yaml", info)
        files.write_jsonl(root / "documents.jsonl", replaced.get("documents", DOCUMENTS))
        files.write_jsonl(root / "gold.jsonl", replaced.get("gold", GOLD_READINGS))
        files.write_jsonl(root / "annotators" / "a1.jsonl", replaced.get("a1", ()))
        files.write_jsonl(
            root / "registry.jsonl",
            replaced.get("registry", [{"event": "e1", "commitments": [{"id": "e1-c1"}]}]),
        )
        splits = replaced.get("splits", "train: [e1]\nvalidation: []\ntest: [e2]\n")
        files.write_text(root / "splits.yaml", splits)
        return root

    return made


def found(root):
    """The faults of a corpus, without its folder, and each with its rule."""
    return [(str(fault).removeprefix(f"{root}/"), fault.rule) for fault in sorted(check(root)[0])]


def test_a_small_corpus_is_sound(make):
    """The ground the fault tests stand on."""
    faults, counts = check(make())
    assert faults == []
    assert counts == {"documents": 2, "annotations": 2, "spans": 2, "relations": 1}


def reading(*spans, relations=()):
    """A reading of the first document."""
    return Annotation("d1", "x", spans, relations)


@pytest.mark.parametrize(
    ("replaced", "expected"),
    [
        pytest.param(
            {"documents": [*DOCUMENTS, Document("d1", "Again.", "e1")]},
            [
                (
                    (
                        "documents.jsonl:3: document id 'd1' stands already on line 1;"
                        " give each document its own id"
                    ),
                    "duplicate-id",
                )
            ],
            id="duplicate document id",
        ),
        pytest.param(
            {"gold": [*GOLD_READINGS, Annotation("d9", GOLD)]},
            [
                (
                    "gold.jsonl:3: no document 'd9' in documents.jsonl; add it or drop the line",
                    "unknown-document",
                )
            ],
            id="unknown document",
        ),
        pytest.param(
            {"a1": [Annotation("d2", "a1"), Annotation("d2", "a1")]},
            [("annotators/a1.jsonl:2: a second reading of 'd2'; keep one", "duplicate-id")],
            id="second reading",
        ),
        pytest.param(
            {"gold": [reading(Span(0, 5, "PARTY", "s1"), Span(3, 9, "DATE", "s2"))]},
            [
                (
                    (
                        "gold.jsonl:1: d1: DATE 3–9 overlaps PARTY 0–5 in the layer 'mentions';"
                        " keep one of the two or move an edge"
                    ),
                    "overlap",
                )
            ],
            id="overlap in gold",
        ),
        pytest.param(
            {"a1": [reading(Span(0, 5, "PARTY", "s1"), Span(3, 9, "DATE", "s2"))]},
            [],
            id="overlap in a reading is the annotator's right",
        ),
        pytest.param(
            {"gold": [reading(relations=(Relation("promisor", "s1", "s2"),))]},
            [
                (
                    (
                        "gold.jsonl:1: d1: relation promisor s1→s2 names no span;"
                        " remove it or add the span"
                    ),
                    "dangling-relation",
                )
            ],
            id="dangling relation",
        ),
        pytest.param(
            {"gold": [Annotation("d2", GOLD), reading(Span(0, 5, "PARTY", "s1", "Praha"))]},
            [
                (
                    "gold.jsonl:2: d1: PARTY 0–5 reads 'Paris', not 'Praha'; mend offsets or text",
                    "text-mismatch",
                )
            ],
            id="text mismatch",
        ),
        pytest.param(
            {"gold": [reading(Span(0, 5, "PLACE", "s1"), Span(9, 5, "DATE", "s2"))]},
            [
                (
                    "gold.jsonl:1: d1: DATE 9–5 ends before it starts; swap start and end",
                    "reversed",
                ),
                (
                    (
                        "gold.jsonl:1: d1: PLACE 0–5 has an unknown label;"
                        " use one of COMMITMENT, PARTY, AMOUNT, DATE"
                    ),
                    "unknown-label",
                ),
            ],
            id="two faults on one line",
        ),
        pytest.param(
            {"registry": [{"event": "e1", "commitments": [{"id": "e1-c7"}]}]},
            [
                (
                    (
                        "gold.jsonl:1: d1: no commitment 'e1-c1' in registry.jsonl;"
                        " mend the id or write NEW"
                    ),
                    "unknown-commitment",
                )
            ],
            id="unknown commitment",
        ),
        pytest.param(
            {"registry": [{"event": "e1", "commitments": [{"id": "e1-c1"}, {"what": "?"}, 3]}]},
            [("registry.jsonl:1: commitments: one without an id; give it one", "no-id")] * 2,
            id="commitment without an id",
        ),
        pytest.param(
            {"splits": "train: [e1]\nvalidation: []\ntest:\n  - e2\n  - e1\n"},
            [("splits.yaml:5: event 'e1' is in train and in test; keep it in one", "leak")],
            id="event in two splits",
        ),
        pytest.param(
            {"splits": "train: [e1]\nvalidation: []\ntest: []\n"},
            [("splits.yaml: event 'e2' is in no split; add it to one", "no-split")],
            id="event in no split",
        ),
        pytest.param(
            {"documents": [DOCUMENTS[0], Document("d2", "Paris  will pay\nRome in May.", "e2")]},
            [
                (
                    (
                        "documents.jsonl:2: the text of 'd2' is in train and in test;"
                        " keep one of the two"
                    ),
                    "leak",
                )
            ],
            id="same text in two splits",
        ),
        pytest.param(
            {"splits": "train: [NO]\nvalidation: []\n"},
            [
                (
                    'splits.yaml:1: YAML reads NO as true or false, not as a word; write "NO" in quotes',
                    "invalid-yaml",
                ),
                ("splits.yaml:1: test: Field required; add it", "invalid-yaml"),
            ],
            id="splits that are no splits",
        ),
    ],
)
def test_corpus_fault(make, replaced, expected):
    """One line with file, line, fault and cure; nothing else is found."""
    assert found(make(**replaced)) == expected


def test_faults_of_all_files_are_listed_together(make):
    """A gold file that cannot be read hides nothing of the others."""
    root = make(a1=[Annotation("d9", "a1")], registry=[{"commitments": [{}]}], splits="train: []\n")
    (root / "gold.jsonl").write_text('{"document":"d1"}\n{"document":1}\n')
    assert {line.split(";")[0].split(": ")[0] for line, _ in found(root)} == {
        "annotators/a1.jsonl:1",
        "gold.jsonl:2",
        "registry.jsonl:1",
        "splits.yaml:1",
    }


def test_readings_with_faults_are_refused_whole(make):
    """Exit code 3, and no annotation gets through."""
    root = make(a1=[Annotation("d9", "a1"), Annotation("d8", "a1")])
    with pytest.raises(InvalidDataError) as caught:
        Corpus.load(root).annotations("a1")
    assert [fault.line for fault in caught.value.faults] == [1, 2]
    assert caught.value.exit_code == 3


def test_a_folder_without_a_corpus_is_a_usage_error(tmp_path):
    """Exit code 2, with the cure."""
    with pytest.raises(UsageError) as caught:
        Corpus.load(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: no corpus here (no corpus.yaml); name a folder that has one"
    )


def test_a_corpus_of_an_unknown_schema_is_a_usage_error(make):
    """It says where a schema belongs."""
    root = make()
    files.write_yaml(root / "corpus.yaml", CorpusInfo("small", "lost"))
    with pytest.raises(UsageError) as caught:
        Corpus.load(root)
    assert str(caught.value) == (
        f"{root}/corpus.yaml: no schema 'lost'; put it in schemas/lost.yaml"
    )


def test_an_annotator_is_a_person_or_a_model(make):
    """The card of the dataset depends on it."""
    root = make()
    path = root / "corpus.yaml"
    path.write_text(path.read_text().replace("kind: person", "kind: robot"))
    with pytest.raises(InvalidDataError) as caught:
        Corpus.load(root)
    line = path.read_text().splitlines().index("    kind: robot") + 1
    assert str(caught.value) == (
        f"{path}:{line}: annotators.a1.kind: Input should be 'person' or 'model';"
        " mend it (found 'robot')"
    )


def test_a_schema_may_lie_beside_its_corpus(make):
    """A path in `corpus.yaml` counts from there, and a copy finds the same schema."""
    root = make()
    shutil.copy(SCHEMA, root / "own.yaml")
    shutil.copy(SCHEMA.with_name("commitments.md"), root)
    files.write_yaml(root / "corpus.yaml", CorpusInfo("small", "own.yaml"))
    corpus = Corpus.load(root)
    assert corpus.schema_path == root / "own.yaml"
    copy = corpus.copy(root.parent / "copy", name="copy", events=["e1"])
    assert copy.schema == corpus.schema


# ── copy ────────────────────────────────────────────────────────────────────────────────────────


def test_a_copy_holds_some_events_and_no_readings(corpus, tmp_path):
    """Documents, splits, registry and decisions of these events; annotators and gold stay behind."""
    copy = corpus.copy(tmp_path / "copy", name="small", events=["e001", "e003"])
    kept = [document for document in corpus.documents if document.event in {"e001", "e003"}]
    assert (copy.name, list(copy.documents)) == ("small", kept)
    assert copy.splits() == Splits((), ("e003",), ("e001",))
    assert [event["event"] for event in copy.registry()] == ["e001", "e003"]
    assert (copy.annotators, copy.path_of(GOLD).exists()) == ((), False)
    decisions = [
        decision
        for decision in files.iter_jsonl(COMMUNIQUE / "decisions.jsonl")
        if decision["item"].split("/")[0] in {document.id for document in kept}
    ]
    assert list(files.iter_jsonl(copy.root / "decisions.jsonl")) == decisions != []
    assert check(copy.root)[0] == []


def test_a_copy_can_be_annotated_like_its_original(corpus, tmp_path):
    """The gold of the original is sound gold of the copy."""
    copy = corpus.copy(tmp_path / "copy", name="small", events=["e002"])
    wanted = [a for a in corpus.annotations(GOLD) if a.document in copy.texts]
    assert copy.save(GOLD, wanted) is True
    assert copy.annotations(GOLD) == tuple(wanted)
    assert check(copy.root)[0] == []


# ── predictions ─────────────────────────────────────────────────────────────────────────────────

TEXTS = {document.id: document for document in DOCUMENTS}


@pytest.fixture
def read(corpus, tmp_path):
    """Read prediction records, with or without the texts."""

    def predictions(*records, texts=TEXTS):
        path = tmp_path / "p.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return read_predictions(path, corpus.schema, texts)

    return predictions


def span(start, end, label, **more):
    """A predicted span as another program writes it."""
    return {"start": start, "end": end, "label": label, **more}


@pytest.mark.parametrize("texts", [TEXTS, {}], ids=["with texts", "without"])
def test_minimal_predictions_are_enough(read, texts):
    """A document and spans of offsets and label; keys of other programs are passed over."""
    records = [
        {"document": "d1", "spans": [span(0, 5, "PARTY", score=0.9), span(0, 19, "COMMITMENT")]},
        {"document": "d2", "spans": [], "model": "x"},
    ]
    assert read(*records, texts=texts) == (
        Annotation("d1", spans=(Span(0, 5, "PARTY"), Span(0, 19, "COMMITMENT"))),
        Annotation("d2"),
    )


def test_predictions_for_other_documents_are_accepted(read):
    """They cannot be compared with a text, but they may stand in the file, however far they reach."""
    far = {"document": "d7", "spans": [span(0, 10**15, "PARTY", text="?")]}
    assert [annotation.document for annotation in read(far)] == ["d7"]


@pytest.mark.parametrize(
    ("spans", "rule", "expected"),
    [
        pytest.param(
            [span(0, 5, "PLACE")],
            "unknown-label",
            "PLACE 0–5 has an unknown label; use one of COMMITMENT, PARTY, AMOUNT, DATE",
            id="unknown label",
        ),
        pytest.param(
            [span(5, 0, "PARTY")],
            "reversed",
            "PARTY 5–0 ends before it starts; swap start and end",
            id="reversed",
        ),
        pytest.param(
            [span(3, 3, "PARTY")],
            "empty",
            "PARTY 3–3 is empty; remove it or give it an end after its start",
            id="empty",
        ),
        pytest.param(
            [span(23, 99, "DATE")],
            "outside-text",
            "DATE 23–99 lies outside the text (0–27); mend its offsets",
            id="outside",
        ),
        pytest.param(
            [span(0, 5, "PARTY"), span(0, 7, "DATE")],
            "overlap",
            "DATE 0–7 overlaps PARTY 0–5 in the layer 'mentions';"
            " keep one of the two or move an edge",
            id="overlap",
        ),
    ],
)
def test_prediction_fault(read, tmp_path, spans, rule, expected):
    """One line with file, line, document, span, fault and cure."""
    with pytest.raises(InvalidDataError) as caught:
        read({"document": "d2", "spans": []}, {"document": "d1", "spans": spans})
    (fault,) = caught.value.faults
    assert (str(fault), fault.rule) == (f"{tmp_path}/p.jsonl:2: d1: {expected}", rule)


def test_a_document_is_predicted_once(read, tmp_path):
    """Two predictions for one document leave open which counts."""
    with pytest.raises(InvalidDataError) as caught:
        read({"document": "d1"}, {"document": "d2"}, {"document": "d1"})
    assert str(caught.value) == (
        f"{tmp_path}/p.jsonl:3: d1 stands already on line 1; keep one of the two"
    )


def test_every_bad_prediction_is_listed(read):
    """One run shows all there is to mend."""
    with pytest.raises(InvalidDataError) as caught:
        read(
            {"document": "d1", "spans": [span(5, 0, "PARTY"), span(0, 5, "PLACE")]},
            {"document": "d2", "spans": [span(0, 99, "DATE")]},
        )
    assert [(fault.line, fault.rule) for fault in caught.value.faults] == [
        (1, "reversed"),
        (1, "unknown-label"),
        (2, "outside-text"),
    ]


def test_a_document_without_an_event_is_its_own_story(tmp_path):
    """It is split by its id, so that plain documents need no events made up for them."""
    files.write_text(tmp_path / "corpus.yaml", "name: plain\nschema: commitments\n")
    documents = [Document(name, f"{name} will pay.") for name in ("d1", "d2", "d3")]
    files.write_jsonl(tmp_path / "documents.jsonl", documents)
    files.write_text(tmp_path / "splits.yaml", "train: [d1]\nvalidation: [d2]\ntest: [d3]\n")
    assert check(tmp_path)[0] == []
    assert Corpus.load(tmp_path).splits().of(documents[2].story) == "test"
