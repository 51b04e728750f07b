"""106 articles of the English Wikipedia out of gensim's test data, as plain text (2.9 MB)."""

import bz2
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from warmup.data.sources._common import Credit, Text, packaged
from warmup.data.sources._wikitext import plain_text

KIND = "language"
CREDIT = Credit(
    name="Articles of the English Wikipedia, by their authors, as excerpted in the test data of gensim 4.4.0",
    licence="CC BY-SA 4.0 (text); gensim itself: LGPL-2.1",
    address="https://en.wikipedia.org/wiki/Wikipedia:Copyrights",
)
DEFAULTS: dict[str, Any] = {
    "path": None,
    "tokenizer": "bytes",
    "split": [0.8, 0.1, 0.1],
    "split_seed": 0,
    "backward": False,
}

RELATIVE = "test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
SHA256 = "a53f4648dec40467ebdcbc7a1307eddb51fe6e28e9309f6ebde81ba0d04bea2d"
ARTICLE_NAMESPACE = "0"


def load(options: Mapping[str, Any]) -> Text:
    """The articles in the order of the dump, each opening with its title; redirections and talk are left out.

    With `backward` each runs from its last character to its first.
    """
    path, inputs = packaged(options, "gensim_wikipedia", "gensim", RELATIVE, "gensim==4.4.0", SHA256)
    found = articles(path)
    return Text(documents=(text[::-1] for text in found) if options["backward"] else found, inputs=inputs)


def articles(path: Path) -> Iterator[str]:
    """Title and plain text of each article of a compressed MediaWiki dump."""
    with bz2.open(path) as stream:
        for _, page in ElementTree.iterparse(stream):
            if page.tag.rpartition("}")[2] != "page":
                continue
            space = page.tag.removesuffix("page")
            if page.findtext(f"{space}ns") == ARTICLE_NAMESPACE and page.find(f"{space}redirect") is None:
                title = page.findtext(f"{space}title", "")
                text = plain_text(page.findtext(f"{space}revision/{space}text", ""))
                yield f"{title}\n\n{text}\n"
            page.clear()
