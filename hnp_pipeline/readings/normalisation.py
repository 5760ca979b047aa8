"""The text as every later step sees it: one kind of dash, quote, space and line break."""

import html
import re
import unicodedata

_ONE_FOR_ONE = str.maketrans(
    dict.fromkeys("‐‑‒–—―−﹣－‧⁃﹘", "-")
    | dict.fromkeys("‘’‛′`´", "'")
    | dict.fromkeys("“”″", '"')
    | dict.fromkeys("⁓∼〜～˜", "~")
    | dict.fromkeys("⁄∕", "/")
    | dict.fromkeys("\r\v\f\u0085\u2028\u2029", "\n")
    | dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff", "")
    | {chr(c): " " for c in range(32) if chr(c) not in "\t\n\r\v\f"}
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
_S1 = re.compile(r"(?<=[lL]5)(\s?[-/~]\s?)[sS][iIlL|](?![a-zA-Z0-9])")  # L5-SI, as scanned
_BOX = re.compile(r"(?P<off>[☐□◻]|\[ *\]|\( *\))|(?P<on>[☑☒✅]|\[[xXvV✓✔]\]|\([vV✓✔]\))")
_STARRED = re.compile(r"\*{1,3}\s?([lL]\s?\d[\s\d/~lLsS-]{1,7}):?\s?\*{1,3}:?")
_UNLIKE = re.compile(
    r"(\b(?:unlike|in contrast (?:to|with)) (?:the )?[lL] ?\d[^,;.\n]{1,20}),", re.IGNORECASE
)
_KEYED = re.compile(r"(?<=[^\n|])\s\|\s(?=[^\W\d_][^\W\d_ ]{1,20}:)")  # disc: … | canal: …
_NUMBER_SIGN = re.compile(r"(?<=[^\n])\s#\d{1,2}[.):]?\s")  # … #2 L4-5
_NUMBER_DASH = re.compile(
    r"(?:^|(?<=\n)|(?<=[^\s\dlLsS,/~-]\s))\s?[1-9]\s?-\s?(?=[lL]\s?\d\s?[-/]\s?[lLsS]?\s?\d)"
)  # 2-L5/S1
_LINE_BREAK = re.compile(
    r"(?:<br\s?/?>|</?(?:p|div|tr|li|ul|ol|table|h\d)(?:\s[^<>]{0,200})?>|_x000D_|\\r\\n|\\n|/{2,})\n?",
    re.IGNORECASE,
)
_DASHES = re.compile(r"(?<=[lLsS]\d)(?:--+|_)(?=[lLsS]?\d)")
_ARROW = re.compile(r"(?<=[lL]\d)\s?(?:→|->|=>|⇒)\s?(?=[lLsS]?\d)")
_CELL = re.compile(r"</t[dh]>\s*", re.IGNORECASE)
_TAG = re.compile(
    r"</?(?:t[dhr]|tbody|thead|b|i|u|em|strong|span|font|html|body)(?:\s[^<>]{0,200})?>", re.IGNORECASE
)
_TABBED = re.compile(r"[^\n\t]+\t[^\n\t]+\t[^\n]*")
_DOTTED = re.compile(r"\bh\. ?(?:n\. ?p|i\. ?v\. ?d)\b\.?", re.IGNORECASE)  # H.N.P.
_MIDDLE_DOT = re.compile(r"(?<=\d)\s?[·・ㆍ∙]\s?(?=[\dlsLS])")
_SPACES = re.compile(r"[^\S\n]+")
_TERM_ALONE = re.compile(
    r"(?m)^(\W*(?:disc |disk )?(?:hnp|hivd|hld|hern\w+|protrusions?|extrusions?|bulg\w+|탈출증?|돌출|팽윤)\s?);(?=\s?[lL]?\s?\d)",
    re.IGNORECASE,
)  # HIVD; L4-5
_TORN = re.compile("(?<=[탈돌팽]) (?=[출윤])")  # 탈 출증
_EMPTY_LINES = re.compile(r"(?:\n ?){3,}")


def normalise(text: str) -> str:
    """`text` in Unicode's compatible form (NFKC), its dashes, quotes, spaces and line breaks made alike.

    Case is kept, for the evidence; `normalise(text).lower()` has the same length.
    """
    text = text.replace("\r\n", "\n")
    text = _ticked(text)
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        # before NFKC, which turns … into three full stops and some of these signs into others
        text = unicodedata.normalize("NFKC", text.translate(_ONE_FOR_ONE)).translate(_ONE_FOR_ONE)
        text = _MIDDLE_DOT.sub("-", text)
        text = re.sub("[·・ㆍ∙]", ",", text)
    else:
        text = text.translate(_ONE_FOR_ONE)
    if "<" in text:
        text = _TAG.sub(" ", _CELL.sub(" | ", _LINE_BREAK.sub("\n", text)))
    text = _LINE_BREAK.sub("\n", text)
    text = _DOTTED.sub(lambda m: re.sub("[. ]", "", m.group()), text)
    text = _STARRED.sub(r"\n\1: ", text)
    text = _S1.sub(r"\1S1", text)
    text = _DASHES.sub("-", text)
    text = re.sub("[-=]{1,3}>", "→", _ARROW.sub("~", text))
    if "\t" in text:  # a table's columns
        text = _TABBED.sub(lambda m: m.group().replace("\t", " | "), text)
    text = _TERM_ALONE.sub(r"\1:", text)
    text = _TORN.sub("", _SPACES.sub(" ", text))
    text = _NUMBER_DASH.sub("\n", _NUMBER_SIGN.sub("\n", text))
    text = _UNLIKE.sub(r"\1;", _KEYED.sub("; ", text))
    return _EMPTY_LINES.sub("\n\n", text)


def _ticked(text: str) -> str:
    """`text` without the choices that were left open, where it has boxes and some are ticked (`[x] L4-5 HNP [ ] L5-S1 HNP`)."""
    boxes = list(_BOX.finditer(text))
    if len({m.lastgroup for m in boxes}) < 2:
        return text
    out, at = [], 0
    for m, after in zip(boxes, [*boxes[1:], None], strict=True):
        stop = after.start() if after is not None else len(text)
        line = text.find("\n", m.end(), stop)
        stop = line if line >= 0 else stop
        out += [text[at : m.start()], "\n"]
        at = m.end() if m.lastgroup == "on" else stop
    return "".join(out) + text[at:]
