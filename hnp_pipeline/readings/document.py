"""A report's sections, lines and sentences: which of them tell what this MRI shows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Sections that do not tell what the MRI shows.
_ASIDE = (
    r"(?:brief |relevant |pertinent |patient'?s? |present |past |previous )?(?:clinical|medical|surgical|patient)"
    r"(?: (?:and|/) \w+)?(?:[ -](?:history|hx|info(?:rmation)?|details?|data|indications?|presentation|findings?|diagnosis"
    r"|dx|impression|notes?|question|context|background|symptoms?|summary|concern|features))?"
    r"|(?:present |past |brief )?(?:history|hx)(?: of present illness)?|h/o|hpi|pmh|psh|p/i|c[./]?\s?[ci]\.?|chief complaints?|complaints?"
    r"|symptoms?|indi?c?|indications?(?: for (?:exam(?:ination)?|study))?|reason(?: for (?:the )?(?:exam(?:ination)?|study|visit|referral|request|mri|test))?"
    r"|referr(?:al|ed)(?: (?:diagnosis|reason|note|information))?|request(?:ed)?(?: for)?|ordered(?: for)?|(?:mri?|exam|study|done|performed) for|presentation|background"
    r"|technique|protocol|procedure|sequences?|methods?|scan|exam(?:ination)?|study|modality|contrast"
    r"|old (?:study|mri|exam|scan|imaging|report)|comparisons?(?: (?:study|studies|exams?))?|compared? (?:with|to)|prior (?:study|studies|mri|exams?|imaging|report)"
    r"|(?:previous|prior|before|이전|과거)(?=\s*:)|previous (?:study|studies|mri|exams?|imaging|report)(?: \([^)]*\))?|recommendations?|recommend|plan|advice|order(?: diagnosis)?"
    r"|pre-?op(?:erative)? (?:diagnosis|dx)|(?:working|provisional|referring|referral|admi(?:ssion|tting)|presumptive|initial|outside) (?:diagnosis|dx|impression)|questions?"
    r"|임상\s?(?:적\s?)?(?:소견|정보|진단명?|증상|병력|양상|의견|추정|질문)|병력|과거력|현병력|기왕력|수술력|환자\s?정보|주\s?증상|주소|주호소|증상"
    r"|의뢰\s?(?:사유|내용|소견|목적|진단|이유)?|검사\s?(?:목적|이유|사유|방법|기법|명|일|일자|종류|항목|부위)|촬영\s?(?:방법|기법|목적)|적응증"
    r"|비교\s?(?:검사|영상)?|이전\s?(?:검사|영상|판독|mri|소견)(?:\s?소견|\s?결과)?|과거\s?(?:검사|영상|판독)|추천|권고\s?(?:사항)?|목적|사유|추정\s?진단"
)
_DATED = r"(?:(?:mri?|study|exam) (?:of |in |on )?)?\(?(?P<year>(?:19|20)\d\d)(?:[-./]\d+){0,2}\)? ?(?:mri?|study|exam(?:ination)?|scan|년)?"
_NOW = re.compile(r"(?:\b(?:today|current|present|this|now)|금번|이번|현재)[^\n:.]{0,20}:")
_FINDINGS = (
    r"(?:today'?s?|current|present|this|new) (?:mri?|study|exam(?:ination)?|scan)|"
    r"(?:mri?|imaging|radiolog(?:ic(?:al)?|y)|image|lumbar|detailed|spine) (?:findings?|report|reading|interpretation)|findings?|report"
    r"|(?:now|currently|at present|현재|금번)(?=\s*:)|results?|interpretation|reading|description|observations?|body|discs?(?: levels?)?|lumbar discs?"
    r"|(?:mri?\s?|영상\s?|판독\s?|영상의학\s?(?:적\s?)?|방사선\s?|세부\s?|요추\s?)?소견|판독(?:\s?(?:결과|내용|문|의견))?|검사\s?(?:결과|소견)|결과|내용"
)
_CONCLUSION = (
    r"(?:final |overall |mri |radiologic(?:al)? |imaging )?(?:impressions?|conclusions?|diagnos[ie]s)|imp|dx|conc|opinions?|summary"
    r"|comments?|assessment|addendum|discussion|note|nb|n\.b\.?"
    r"|결론|진단(?:명)?|최종\s?(?:진단|판독|소견)|영상\s?진단|요약|종합(?:\s?(?:소견|의견))?|인상|의견|평가|추가\s?소견"
)
_MRI = r"(?:\s?(?:spine|spinal))?(?:\s?mri?i?)?(?:\s?(?:with|without)[^:\n.]{0,30})?"
_ELSEWHERE = (
    rf"(?:mri?\s?(?:of\s)?(?:the\s)?)?(?:cervical|thoracic|dorsal|sacrum|brain|(?:c|t|d)[\s.\-/]{{0,2}}spine|c-t spine|hip(?: joints?)?|pelvis|knee"
    rf"|shoulder|si ?joints?|sij|hip joint & sij){_MRI}|경추(?:부)?(?:\s?mri)?|흉추(?:부)?(?:\s?mri)?|골반(?:\s?mri)?"
)
_LUMBAR = rf"(?:mri?\s?(?:of\s)?(?:the\s)?)?(?:lumbar|lumbo-?\s?sacral|lss?|l[\s.\-/]{{0,2}}s?[\s.\-/]{{0,2}}spine|l\.?ss|l/s){_MRI}|요추(?:부)?(?:\s?mri)?|요천추(?:부)?(?:\s?mri)?"
_HEADER = re.compile(
    rf"(?:^|(?<=\n)|(?<=[.;\])>?!])(?=\s)|(?<=\s)(?=[\[<{{]))[\s\[<(*#=\-.{{]*(?:\d+[.)]\s*)?"
    rf"(?:(?P<aside>{_ASIDE})|(?P<findings>{_FINDINGS})|(?P<conclusion>{_CONCLUSION})|(?P<elsewhere>{_ELSEWHERE})|(?P<lumbar>{_LUMBAR})|(?P<dated>{_DATED}(?=\s*:)))"
    rf"\s*(?:\([^)\n]{{0,40}}\)\s*)?\.?(?:(?<!\.)|(?=\s?:))(?:(?P<mark>[:>\]=)]+(?:\s*[:\-])?|\s-\s)|(?=\n|$))"
)
_LEVEL_LINE = re.compile(
    r"\s*[-*.]?\s*(?:\d[.)]\s*)?(?:at\s)?l\s?\d\s?[-/~]\s?(?:l|s)?\s?\d\b[^:\n]{0,12}(?::|$)"
)
# A line that ends so runs on into the next, whatever that starts with; or if that starts with a small letter.
_RUNS_ON = re.compile(
    r"(?:\b(?:at|of|in|on|the|a|an|and|or|with|without|for|to|by|from|between|any|as)|,|&)\s*$"
)
_MAY_RUN_ON = re.compile(
    r"\b(?:disc|disk|is|are|central|paracentral|left|right|small|mild|focal|nerve|root|thecal|evidence|level|lumbar|not"
    r"|posterior|foraminal|large|diffuse|causing|compressing|noted|seen|no)\s*$"
)
_RUNS_ON_IN_CAPITALS = re.compile(r"\b(?:(?:is|are|has|with|shows?) no|is|are|not)\s*$")
_CONTINUES = re.compile(
    r"\s*(?:at|of|in|on|and|or|with|without|to|from|by|which|that|causing|compressing|abutting|indenting|is|are|was|were"
    r"|has|noted|seen|levels?|but|except|nor|due|measuring|resulting|migrat\w+|extending)\b"
)
_STARTS = re.compile(
    r"\s*(?:[-*.]|\d[.)]\s|(?:no|mild|diffuse|without|others?|rest|remaining|conus|[crsh]/[ops])\b)"
)
_END = re.compile(r"[.!](?=\s|$|[)\]]|[A-Z가-힣\-])|;|\s(?=[1-9][.)]\s)")
_ONLY_LEVEL = re.compile(r"\W*l\s?\d\s?[-/~]\s?[ls]?\s?\d\s*")
_LEVEL_FIRST = re.compile(r"\s*(?:&|and\b)|[\s,]*l\s?\d")
_SIDE_LAST = re.compile(r"\d, ?[lr]t$")
_ABBREVIATION = re.compile(
    r"(?:\b(?:rt|lt|vs|dr|approx|resp|susp|prob|poss|e\.g|i\.e|eg|ie|fig|post|ant|sag|ax|prev|hern|protr|lat|bilat|mod|min|cf|incl|st|mr|ca|l\.s|l\.ss|(?<![/'])[a-z]))$"
)


@dataclass(slots=True)
class Sentence:
    """A stretch of the report. `fresh`: what an earlier heading said no longer holds."""

    start: int
    end: int
    fresh: bool  # after a section header or an empty line
    first: bool  # first of its line
    alone: bool  # nothing else on its line
    elsewhere: bool  # under a heading of another region


def sentences(text: str, lower: str) -> Iterator[Sentence]:
    """The sentences that tell what this MRI shows, in order."""
    fresh = True
    for start, end, empty_before, elsewhere in _told(text, lower):
        fresh = fresh or empty_before
        spans = list(_split(text, lower, start, end))
        for i, (a, b) in enumerate(spans):
            yield Sentence(a, b, fresh and i == 0, i == 0, len(spans) == 1, elsewhere)
            fresh = False


def _told(text: str, lower: str) -> list[tuple[int, int, bool, bool]]:
    """Lines and parts of lines outside the sections that are aside: (start, end, fresh, elsewhere)."""
    headers = list(_HEADER.finditer(lower))
    latest = max((h["year"] for h in headers if h["dated"]), default="")
    kinds = [_kind(h, latest, lower) for h in headers]
    out: list[tuple[int, int, bool, bool]] = []
    aside, inline, content, elsewhere = False, False, False, False
    fresh = True
    n = 0
    for start, end in _lines(text, lower):
        if not lower[start:end].strip():
            fresh = True
            if aside and (inline or content):
                aside = False
            continue
        at = start
        mine = []
        while n < len(headers) and headers[n].start() < end:
            mine.append(n)
            n += 1
        coming = kinds[n] if n < len(headers) else None
        if aside and not (mine and headers[mine[0]].start() <= start + 1):
            # does the section go on in this line?
            if _LEVEL_LINE.match(lower, start, end) and (inline or content):
                aside = False
            elif inline:
                aside = (
                    coming == "findings"
                    or (mine and kinds[mine[0]] == "findings")
                    or bool(re.match(r"\s*[a-z]", lower[start:end]) and coming and not content)
                )
            elif content and coming is None and not mine:
                aside = False
            content = True
        for k in (*mine, None):
            stop = headers[k].start() if k is not None else end
            if lower[at:stop].strip(" .:-\n"):
                if not aside:
                    out.append((at, stop, fresh, elsewhere))
                    fresh = False
                elif k is None and mine and coming is None and inline and not lower[end:].strip():
                    # the section and all else stand on one line: only its first sentence is aside
                    m = re.search(r"[.!?]\s", lower[at:stop])
                    if m and lower[at + m.end() : stop].strip():
                        out.append((at + m.end(), stop, True, elsewhere))
                content = True
            if k is not None:
                kind, fresh = kinds[k], True
                at = headers[k].end()
                aside = kind == "aside"
                inline = bool(lower[at:end].strip(" .:-"))
                content = False
                if kind in ("elsewhere", "lumbar"):
                    elsewhere = kind == "elsewhere"
    return out


def _kind(header: re.Match[str], latest: str, lower: str) -> str:
    """What a heading heads. A year heads an earlier study if a later one, or `today`, follows."""
    if header["dated"]:
        return "aside" if header["year"] < latest or _NOW.search(lower, header.end()) else "findings"
    return next(k for k in ("aside", "findings", "conclusion", "elsewhere", "lumbar") if header[k])


def _lines(text: str, lower: str) -> list[tuple[int, int]]:
    """Lines, joined where one runs on into the next."""
    lines: list[tuple[int, int]] = []
    start = 0
    while start <= len(lower):
        end = lower.find("\n", start)
        end = len(lower) if end < 0 else end
        if lines and lines[-1][1] == start - 1 and _one(text, lower, lines[-1], (start, end)):
            lines[-1] = (lines[-1][0], end)
        else:
            lines.append((start, end))
        start = end + 1
    return lines


def _one(text: str, lower: str, line: tuple[int, int], after: tuple[int, int]) -> bool:
    """Whether a line and the one after are one sentence that was broken to fit the page."""
    this, following = lower[slice(*line)].rstrip(), text[slice(*after)].lstrip()
    if not this.strip() or not following or this.endswith((".", ":", "-")):
        return False
    if _LEVEL_LINE.match(lower, *after) and not following.startswith("at "):
        return False
    if _RUNS_ON.search(this) and not _STARTS.match(lower, *after):
        return True
    if text[slice(*line)].isupper() and _RUNS_ON_IN_CAPITALS.search(this):
        return True
    if not following[0].islower():
        return False
    if _MAY_RUN_ON.search(this) and not _STARTS.match(lower, *after):
        return True
    return (
        _CONTINUES.match(lower, *after) is not None
        and not _HEADER.search("\n" + lower[slice(*after)])
        and not _LEVEL_LINE.fullmatch(lower, *line)
    )


def _split(text: str, lower: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The sentences from `start` to `end`."""
    at = start
    for m in _END.finditer(text, start, end):
        i = m.start()
        if text[i] == ".":
            word = lower[at:i]
            following = lower[i + 1 : i + 2]
            if not word.strip(" \n-*(") or re.fullmatch(r"[\s(\-*]*\d{1,2}", word):
                continue  # a bullet, or the number of a list
            side = _SIDE_LAST.search(word) and not text[i + 1 : i + 3].strip().islower()
            if side and not _LEVEL_FIRST.match(lower, i + 1):
                yield at, i  # HNP L4-5, Lt. Bulging L5-S1.
                at = m.end()
                continue
            if word.endswith("op") and text[i + 1 : i + 3].strip()[:1].islower():
                continue  # op. site
            if word.endswith(("neg", "pos")) and lower.startswith(" for ", i + 1):
                continue
            if _ABBREVIATION.search(word) or (
                word.endswith(" no") and re.match(r"\s?\d+\b(?!(?:\.\d+)?\s?[mc]m)", lower[i + 1 : i + 9])
            ):
                continue
            if (
                following
                and not following.isspace()
                and following not in ")]"
                and re.search(r"(?:^|[^a-z])[a-z]{1,2}$", word)
            ):
                continue
        if text[i] == ";" and text.rfind("(", max(at, i - 80), i) > text.rfind(")", max(at, i - 80), i):
            continue  # (L4-5, left; L5-S1, right)
        if (
            text[i] == ";"
            and _ONLY_LEVEL.match(lower[at:i])
            and _ONLY_LEVEL.fullmatch(lower[at:i].rpartition(",")[2])
        ):
            continue  # L4-5; protrusion
        if lower[at:i].strip():
            yield at, i
        at = m.end() if not text[i].isspace() else i
    if lower[at:end].strip(" .\n"):
        yield at, end
