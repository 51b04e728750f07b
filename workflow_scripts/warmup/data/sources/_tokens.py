"""Text to numbers: bytes as they are, or a byte-pair vocabulary in the form of the tokenizers library."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warmup.errors import DataError

BYTES = "bytes"
GPT2 = "gpt2"
GPT2_REPOSITORY = "openai-community/gpt2"
END_OF_TEXT = "<|endoftext|>"
BYTE_SEPARATOR = 0
"""No text holds this byte, so it can stand between documents."""
LARGEST_VOCABULARY = 2**16


@dataclass(frozen=True)
class Tokenizer:
    """`encode`: documents -> one array of tokens (of type `dtype`) a document, closed by the token `separator`."""

    name: str
    size: int
    separator: int
    dtype: type[np.uint8] | type[np.uint16]
    encode: Callable[[Sequence[str]], list[NDArray[Any]]]


def tokenizer(name: str) -> Tokenizer:
    """`bytes`, `gpt2` (fetched once, then read from the local cache), or the path of a tokenizer.json."""
    if name == BYTES:
        return Tokenizer(BYTES, 256, BYTE_SEPARATOR, np.uint8, _encode_bytes)
    if name == GPT2:
        return _byte_pairs(GPT2, _gpt2_file())
    if not Path(name).is_file():
        raise DataError(f"tokenizer: {name!r} is not `bytes`, not `gpt2`, and no file (a tokenizer.json) has this path")
    return _byte_pairs(Path(name).name, Path(name))


def _encode_bytes(documents: Sequence[str]) -> list[NDArray[Any]]:
    encoded = []
    for document in documents:
        data = document.encode()
        if BYTE_SEPARATOR in data:
            raise DataError(
                f"a document that begins {document[:40]!r} holds the byte 0, which separates documents: "
                "it is no plain text; remove these bytes, or choose another tokenizer"
            )
        encoded.append(np.frombuffer(data + bytes([BYTE_SEPARATOR]), dtype=np.uint8))
    return encoded


def _byte_pairs(name: str, path: Path) -> Tokenizer:
    import tokenizers  # only byte-pair vocabularies need it

    try:
        vocabulary = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception for a file it cannot read
        raise DataError(f"tokenizer: {path} is no tokenizer.json of the tokenizers library: {error}") from error
    vocabulary.no_truncation()
    vocabulary.no_padding()
    size = vocabulary.get_vocab_size(with_added_tokens=True)
    separator = vocabulary.token_to_id(END_OF_TEXT)
    if separator is None:
        raise DataError(f"tokenizer: {path} has no token {END_OF_TEXT}, which separates documents")
    if size > LARGEST_VOCABULARY:
        raise DataError(f"tokenizer: {path} has {size} tokens; prepared text holds at most {LARGEST_VOCABULARY}")
    dtype = np.uint8 if size <= 256 else np.uint16

    def encode(documents: Sequence[str]) -> list[NDArray[Any]]:
        batch = vocabulary.encode_batch_fast(list(documents), add_special_tokens=False)
        return [np.array([*document.ids, separator], dtype=dtype) for document in batch]

    return Tokenizer(name, size, separator, dtype, encode)


def _gpt2_file() -> Path:
    import huggingface_hub  # only the vocabulary of GPT-2 needs it

    try:
        return Path(huggingface_hub.hf_hub_download(GPT2_REPOSITORY, "tokenizer.json"))
    except (OSError, ValueError, RuntimeError, huggingface_hub.errors.HfHubHTTPError) as error:
        raise DataError(
            f"the vocabulary of GPT-2 ({GPT2_REPOSITORY}: tokenizer.json) is neither in the local cache nor can it be "
            "fetched; prepare this task on a node with internet (without HF_HUB_OFFLINE), or set the source's "
            f"`tokenizer` to the path of a copy of that file [{type(error).__name__}]"
        ) from error
