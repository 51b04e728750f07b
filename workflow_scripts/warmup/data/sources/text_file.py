"""The user's own text: one UTF-8 file, taken as one document or as several between separators."""

from collections.abc import Mapping
from typing import Any

from warmup import files
from warmup.data.sources._common import Credit, Text, existing_file, required_path
from warmup.errors import DataError

KIND = "language"
CREDIT = Credit(name="The user's own text", licence="as stated by the user", address="")
DEFAULTS: dict[str, Any] = {
    "path": None,
    "separator": None,
    "tokenizer": "bytes",
    "split": [0.8, 0.1, 0.1],
    "split_seed": 0,
}


def load(options: Mapping[str, Any]) -> Text:
    """The file's documents; without `separator` it is one document, to be divided by position."""
    path = existing_file(required_path(options, "text_file"), "text_file")
    try:
        whole = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"source text_file: {path} is not UTF-8 text (byte {error.object[error.start]:#04x} at position "
            f"{error.start}); convert it, for instance with iconv"
        ) from error
    separator = options["separator"]
    documents = whole.split(separator) if separator else [whole]
    return Text(documents=documents, divided=len(documents) > 1, inputs={path.name: files.sha256(path)})
