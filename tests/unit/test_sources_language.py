"""Text: the Wikipedia excerpt, the user's own file, and streams such as OpenWebText."""

import bz2
import re
from xml.etree import ElementTree

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tokenizers
from gensim.corpora.wikicorpus import filter_wiki
from hypothesis import given
from hypothesis import strategies as st
from sources_helpers import array, documents_of, facts, in_fresh_python, prepared

from warmup.data.sources import _common, _tokens, gensim_wikipedia
from warmup.data.sources._wikitext import plain_text, without_nested
from warmup.errors import DataError

PARTS = ("train", "validation", "test")


# The Wikipedia excerpt


@pytest.fixture(scope="module")
def wikipedia(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("wikipedia"), "language", {"name": "gensim_wikipedia"}, sequence_length=64)


def test_wikipedia_has_106_articles_split_by_article_in_the_stated_shares(wikipedia):
    documents = {part: documents_of(array(wikipedia, part)) for part in PARTS}
    assert {part: len(texts) for part, texts in documents.items()} == {"train": 84, "validation": 11, "test": 11}
    titles = [text.partition("\n")[0] for texts in documents.values() for text in texts]
    assert len(set(titles)) == 106
    assert {"Anarchism", "Algorithm", "Aardvark"} <= set(titles)


def test_wikipedia_is_about_three_megabytes_of_bytes(wikipedia):
    assert sum(len(array(wikipedia, part)) for part in PARTS) == pytest.approx(2.9e6, rel=0.02)
    assert array(wikipedia, "train").dtype == np.uint8
    assert facts(wikipedia)["vocabulary"] == {"name": "bytes", "size": 256, "separator": 0}


def test_wikipedia_text_has_no_markup_left(wikipedia):
    whole = b"".join(bytes(array(wikipedia, part)) for part in PARTS).decode()
    for mark in ("[[", "]]", "{{", "}}", "{|", "|}", "'''", "<ref", "<math", "&nbsp;", "\n==", "\n\n\n"):
        assert mark not in whole, mark


def test_wikipedia_text_agrees_with_gensims_own_filter():
    """gensim's filter keeps table cells and marks of emphasis, ours does not; both keep paragraphs, word for word."""
    path = _common.package_file("gensim", gensim_wikipedia.RELATIVE, "gensim")
    ours_in_theirs = ours_in_all = theirs_in_ours = theirs_in_all = 0
    for markup, article in zip(_raw_articles(path), gensim_wikipedia.articles(path), strict=True):
        ours, theirs = article.partition("\n")[2], filter_wiki(markup)
        our_words, their_words = _words(ours), set(_words(theirs))
        ours_in_theirs += sum(word in their_words for word in our_words)
        ours_in_all += len(our_words)
        our_phrases = _phrases(our_words)
        phrases = {
            phrase for line in theirs.split("\n") if len(_words(line)) >= 40 for phrase in _phrases(_words(line))
        }
        theirs_in_ours += len(phrases & our_phrases)
        theirs_in_all += len(phrases)
    assert ours_in_theirs > 0.99 * ours_in_all
    assert theirs_in_ours > 0.99 * theirs_in_all > 2e5


def _words(text):
    return re.findall(r"[A-Za-z]{3,}", text)


def _phrases(words):
    """All runs of five words."""
    return set(zip(*(words[start:] for start in range(5)), strict=False))


def _raw_articles(path):
    space = "{http://www.mediawiki.org/xml/export-0.10/}"
    for page in ElementTree.fromstring(bz2.decompress(path.read_bytes())).iter(f"{space}page"):
        if page.findtext(f"{space}ns") == "0" and page.find(f"{space}redirect") is None:
            yield page.findtext(f"{space}revision/{space}text")


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("'''Bold''' and ''italic''", "Bold and italic"),
        ("a [[link]] and [[Target page|words]]", "a link and words"),
        ("[[File:Cat.jpg|thumb|a [[cat]] on a [[mat|rug]]]]After", "After"),
        ("Text.\n[[Category:Cats]]\n[[fr:Chat]]\n[[zh-min-nan:Niau]]", "Text."),
        ("before {{cite|a={{nested|b}}|c}} after", "before after"),
        ("x\n{| class=wikitable\n|-\n| cell {{t}}\n|}\ny", "x\n\ny"),
        ('fact<ref name="a">source</ref> and<ref name=b /> more', "fact and more"),
        ("a<!-- hidden -->b <math>x^2</math>c", "ab c"),
        ("[https://example.org/page words of it] and [http://example.org]", "words of it and"),
        ("== Heading ==\ntext\n* item\n# first\n", "Heading\n\ntext\nitem\nfirst"),
        ("fish &amp; chips, 5&nbsp;km, &amp;nbsp;", "fish & chips, 5 km,"),
        ("Paris ({{IPA|x}}; {{lang|y}}) is ({{a}}, a city)", "Paris is (a city)"),
        ("<div style='x'>kept</div> 3 < 4 __TOC__", "kept 3 < 4"),
    ],
)
def test_wiki_markup_becomes_what_a_reader_sees(markup, text):
    assert plain_text(markup) == text


@given(
    st.lists(st.sampled_from(["{{", "}}", "[[", "]]", "{|", "|}", "a", "|", "\n", "File:", "<ref>", "==", "''", "("]))
)
def test_no_markup_however_broken_survives_or_stops_the_cleaning(pieces):
    text = plain_text("".join(pieces))
    assert "{{" not in text
    assert "}}" not in text
    assert "\0" not in text


def test_nesting_is_removed_in_time_proportional_to_the_text():
    deep = "{{" * 20_000 + "x" + "}}" * 20_000
    assert without_nested(f"a{deep}b", "{{", "}}") == "ab"


# The user's own text


def test_own_text_without_separator_is_split_by_position(tmp_path):
    text = "".join(f"line {number} – ü\n" for number in range(1000))
    (tmp_path / "own.txt").write_text(text, encoding="utf-8")
    folder = prepared(tmp_path, "language", {"name": "text_file", "path": str(tmp_path / "own.txt")})
    parts = [documents_of(array(folder, part)) for part in PARTS]
    assert [len(part) for part in parts] == [1, 1, 1]
    assert "".join(part[0] for part in parts) == text
    assert len(parts[0][0]) == pytest.approx(0.8 * len(text), abs=1)


def test_own_text_with_separator_is_split_by_whole_documents(tmp_path):
    documents = [f"document {number} with some words" for number in range(50)]
    (tmp_path / "own.txt").write_text("\n\n\n".join(documents))
    source = {"name": "text_file", "path": str(tmp_path / "own.txt"), "separator": "\n\n\n", "split": [30, 10, 10]}
    parts = {part: documents_of(array(prepared(tmp_path, "language", source), part)) for part in PARTS}
    assert [len(parts[part]) for part in PARTS] == [30, 10, 10]
    assert sorted(text for part in PARTS for text in parts[part]) == sorted(documents)
    other = prepared(tmp_path / "other", "language", {**source, "split_seed": 1})
    assert documents_of(array(other, "test")) != parts["test"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe broken", "is not UTF-8 text .byte 0xff at position 0"),
        (b"some text with \x00 in it and more and more" * 9, "holds the byte 0"),
        (b"", "the text is empty"),
        (b"  \n ", "the text is empty"),
        (b"short text", r"the validation text has \d tokens, fewer than one sequence and the token after it .9"),
    ],
)
def test_own_text_that_cannot_be_used_is_a_data_error(tmp_path, content, message):
    (tmp_path / "own.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        prepared(tmp_path, "language", {"name": "text_file", "path": str(tmp_path / "own.txt")})
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("path", "message"), [(None, "set `path`"), ("absent.txt", "does not exist"), (".", "is a folder")]
)
def test_own_text_that_is_not_there_is_a_data_error(tmp_path, path, message):
    with pytest.raises(DataError, match=message):
        prepared(tmp_path, "language", {"name": "text_file", "path": path})


# Byte pairs


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    """A byte-pair vocabulary in the format of GPT-2's tokenizer.json, learnt from a few words."""
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=[_tokens.END_OF_TEXT],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(["the quick brown fox jumps over the lazy dog " * 20], trainer)
    path = tmp_path_factory.mktemp("vocabulary") / "tokenizer.json"
    model.save(str(path))
    return path


DOCUMENTS = [f"the lazy dog number {number} jumps over the quick brown fox – naïve" for number in range(400)]


@pytest.fixture(scope="module")
def web_text(tmp_path_factory):
    """A data set stored like OpenWebText: several Parquet files with a column `text`."""
    folder = tmp_path_factory.mktemp("web")
    for shard in range(2):
        texts = DOCUMENTS[shard * 200 : (shard + 1) * 200]
        pyarrow.parquet.write_table(pyarrow.table({"text": texts}), folder / f"train-{shard:05d}-of-00002.parquet")
    return folder


def stream_source(web_text, vocabulary, **options):
    sizes = {"validation_tokens": 300, "test_tokens": 200}
    return {"name": "openwebtext", "path": str(web_text), "tokenizer": str(vocabulary), **sizes, **options}


def test_stream_is_taken_only_as_far_as_needed_and_decodes_to_its_documents(tmp_path, web_text, vocabulary):
    folder = prepared(tmp_path, "language", stream_source(web_text, vocabulary), tokens=1000)
    assert {part: array(folder, part).shape for part in PARTS} == {
        "train": (1000,),
        "validation": (300,),
        "test": (200,),
    }
    assert array(folder, "train").dtype == np.uint16
    model = tokenizers.Tokenizer.from_file(str(vocabulary))
    separator = facts(folder)["vocabulary"]["separator"]
    assert separator == model.token_to_id("<|endoftext|>")
    seen: list[str] = []
    for part in ("validation", "test", "train"):
        ends = np.flatnonzero(array(folder, part) == separator)
        pieces = np.split(array(folder, part), ends + 1)
        texts = [model.decode([int(token) for token in piece[:-1]]) for piece in pieces[:-1]]
        first = DOCUMENTS.index(texts[0])
        assert texts == DOCUMENTS[first : first + len(texts)]
        assert not set(texts) & set(seen)
        seen += texts
    assert seen[0] == DOCUMENTS[0]


def test_stream_takes_the_tokens_of_the_configuration_before_those_of_the_study(tmp_path, web_text, vocabulary):
    source = stream_source(web_text, vocabulary, train_tokens=500)
    assert array(prepared(tmp_path, "language", source, tokens=1000), "train").shape == (500,)


def test_stream_that_ends_too_early_is_a_data_error_and_leaves_nothing(tmp_path, web_text, vocabulary):
    with pytest.raises(
        DataError, match=r"the text ended after [\d,]+ of the 9,000,000 tokens that the train part needs"
    ):
        prepared(tmp_path, "language", stream_source(web_text, vocabulary), tokens=9_000_000)
    assert list(tmp_path.iterdir()) == []


def test_stream_without_the_column_of_text_is_a_data_error(tmp_path, web_text, vocabulary):
    with pytest.raises(DataError, match="no column 'content'; the columns are 'text'"):
        prepared(tmp_path, "language", stream_source(web_text, vocabulary, text_column="content"), tokens=10)


def test_stream_from_a_file_that_is_no_parquet_is_a_data_error(tmp_path, vocabulary):
    (tmp_path / "bad.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(DataError, match=r"bad\.parquet could not be read as Parquet"):
        prepared(tmp_path, "language", stream_source(tmp_path / "bad.parquet", vocabulary), tokens=10)


def test_stream_with_a_document_that_is_not_text_is_a_data_error(tmp_path, vocabulary):
    pyarrow.parquet.write_table(pyarrow.table({"text": [1, 2, 3]}), tmp_path / "numbers.parquet")
    with pytest.raises(DataError, match="column 'text' of row 0 holds int, not text"):
        prepared(tmp_path, "language", stream_source(tmp_path / "numbers.parquet", vocabulary), tokens=10)


@pytest.mark.parametrize(
    ("path", "message"), [("absent", "path .*absent does not exist"), ("empty", r"has no file \*\.parquet")]
)
def test_stream_from_a_place_without_files_is_a_data_error(tmp_path, vocabulary, path, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        prepared(tmp_path, "language", stream_source(tmp_path / path, vocabulary), tokens=10)


OFFLINE = """
from warmup.errors import DataError
from warmup.data.preparation import prepare
try:
    prepare(dict(kind="language", source={source!r}, sequence_length=8), {folder!r}, 100)
except DataError as error:
    print(error)
"""


@pytest.mark.parametrize("missing", ["data set", "vocabulary"])
def test_without_internet_the_error_says_how_to_prepare(tmp_path, web_text, vocabulary, missing):
    source = stream_source(web_text, vocabulary)
    source |= {"path": None} if missing == "data set" else {"tokenizer": "gpt2"}
    code = OFFLINE.format(source=source, folder=str(tmp_path / "data"))
    said = in_fresh_python(code, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "cache"))
    assert "prepare this task on a node with internet" in said
    assert ("Skylion007/openwebtext" if missing == "data set" else "openai-community/gpt2") in said
    assert not (tmp_path / "data").exists()


def test_byte_pairs_serve_any_text(tmp_path, vocabulary):
    (tmp_path / "own.txt").write_text("\n".join(DOCUMENTS))
    source = {"name": "text_file", "path": str(tmp_path / "own.txt"), "separator": "\n", "tokenizer": str(vocabulary)}
    folder = prepared(tmp_path, "language", source)
    model = tokenizers.Tokenizer.from_file(str(vocabulary))
    expected = [token for token in array(folder, "test") if token != facts(folder)["vocabulary"]["separator"]]
    assert model.decode(expected).count("lazy dog") == 40
    assert facts(folder)["vocabulary"]["size"] == model.get_vocab_size()


def test_a_tokenizer_that_cannot_be_used_is_a_data_error(tmp_path, vocabulary):
    with pytest.raises(DataError, match=r"'gpt5' is not `bytes`, not `gpt2`, and no file"):
        _tokens.tokenizer("gpt5")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(DataError, match=r"bad\.json is no tokenizer\.json"):
        _tokens.tokenizer(str(tmp_path / "bad.json"))
    renamed = vocabulary.read_text().replace("<|endoftext|>", "<|end|>")
    (tmp_path / "other.json").write_text(renamed)
    with pytest.raises(DataError, match=r"has no token <\|endoftext\|>"):
        _tokens.tokenizer(str(tmp_path / "other.json"))
    large = tokenizers.Tokenizer(tokenizers.models.WordLevel({str(number): number for number in range(70_000)}))
    large.add_special_tokens(["<|endoftext|>"])
    large.save(str(tmp_path / "large.json"))
    with pytest.raises(DataError, match="has 70001 tokens; prepared text holds at most 65536"):
        _tokens.tokenizer(str(tmp_path / "large.json"))


def test_wikipedia_backward_has_the_same_articles_in_the_same_parts_each_from_its_end(wikipedia, tmp_path):
    backward = prepared(tmp_path, "language", {"name": "gensim_wikipedia", "backward": True}, sequence_length=64)
    for part in PARTS:
        turned = [text[::-1] for text in documents_of(array(backward, part))]
        assert turned == documents_of(array(wikipedia, part))
