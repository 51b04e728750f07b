"""OpenWebText: web pages linked on Reddit, an open re-creation of GPT-2's training text, read as a stream."""

from collections.abc import Iterator, Mapping
from typing import Any

from warmup.data.sources import _hub
from warmup.data.sources._common import Credit, Text
from warmup.errors import DataError

KIND = "language"
CREDIT = Credit(
    name="OpenWebText (A. Gokaslan, V. Cohen, 2019)",
    licence="CC0 1.0 (the packaging; the texts belong to their authors)",
    address="https://skylion007.github.io/OpenWebTextCorpus/",
)
DEFAULTS: dict[str, Any] = {
    "path": None,
    "dataset": "Skylion007/openwebtext",
    "revision": None,
    "text_column": "text",
    "tokenizer": "gpt2",
    "train_tokens": None,
    "validation_tokens": 2_000_000,
    "test_tokens": 2_000_000,
}


def load(options: Mapping[str, Any]) -> Text:
    """The documents in the order of the data set, fetched only as far as they are used."""
    files = _hub.local_files(options["path"], "", "openwebtext") if options["path"] else None
    stream = _hub.stream("openwebtext", options["dataset"], options["revision"], "train", files)
    _hub.require_columns("openwebtext", stream, [options["text_column"]])
    stream = stream.select_columns([options["text_column"]])
    inputs = _hub.sizes(files) if files else {options["dataset"]: options["revision"] or "main"}
    rows = _hub.rows("openwebtext", options["dataset"], files, stream)
    return Text(documents=_texts(rows, options["text_column"]), endless=True, inputs=inputs)


def _texts(rows: Iterator[dict[str, Any]], column: str) -> Iterator[str]:
    for number, row in enumerate(rows):
        text = row[column]
        if not isinstance(text, str):
            raise DataError(
                f"source openwebtext: column {column!r} of row {number} holds {type(text).__name__}, not text"
            )
        if text.strip():
            yield text
