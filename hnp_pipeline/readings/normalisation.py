"""The text as every later step sees it: one kind of dash, quote, space and line break."""

import re
import unicodedata

_ONE_FOR_ONE = str.maketrans(
    dict.fromkeys("‐‑‒–—―−﹣－‧⁃﹘", "-")
    | dict.fromkeys("‘’‛′`´", "'")
    | dict.fromkeys("“”″", '"')
    | dict.fromkeys("⁓∼〜～˜", "~")
    | dict.fromkeys("⁄∕", "/")
    | dict.fromkeys("\r\v\f\u0085\u2028\u2029", "\n")
    | dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff", " ")
    | {
        "、": ",",
        "。": ".",
        "；": ";",
        "•": "\n",
        "●": "\n",
        "▪": "\n",
        "■": "\n",
        "◦": "\n",
        "※": "\n",
        "İ": "I",
    }
)
_LINE_BREAK = re.compile(r"<br\s?/?>|</?p>|_x000D_|\\r\\n|\\n|/{2,}", re.IGNORECASE)
_MIDDLE_DOT = re.compile(r"(?<=\d)\s?[·・ㆍ∙]\s?(?=[\dlsLS])")
_SPACES = re.compile(r"[^\S\n]+")
_EMPTY_LINES = re.compile(r"(?:\n ?){3,}")


def normalise(text: str) -> str:
    """`text` in Unicode's compatible form (NFKC), its dashes, quotes, spaces and line breaks made alike.

    Case is kept, for the evidence; `normalise(text).lower()` has the same length.
    """
    if not text.isascii():
        # before NFKC, which turns … into three full stops and some of these signs into others
        text = unicodedata.normalize("NFKC", text.translate(_ONE_FOR_ONE)).translate(_ONE_FOR_ONE)
        text = _MIDDLE_DOT.sub("-", text)
        text = re.sub("[·・ㆍ∙]", ",", text)
    elif "\r" in text or "`" in text:
        text = text.translate(_ONE_FOR_ONE)
    text = _LINE_BREAK.sub("\n", text)
    return _EMPTY_LINES.sub("\n\n", _SPACES.sub(" ", text))
