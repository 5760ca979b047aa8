"""Report texts of lumbar MRIs in English, Korean and the mix that Korean reports are written in.

Each text says exactly the labels that it is made from, by the rules of design 4.
"""

import numpy as np

from hnp_pipeline.vocabulary import LEVELS

Random = np.random.Generator

LANGUAGES = ("english", "korean", "mixed")

_SPELLINGS = (
    ("L1-2", "L2-3", "L3-4", "L4-5", "L5-S1"),
    ("L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"),
    ("L1/2", "L2/3", "L3/4", "L4/5", "L5/S1"),
    ("L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1"),
)

_HEADING = {
    "english": (
        "",
        "MRI L-SPINE\n",
        "Lumbosacral MRI:\n",
        "LUMBAR SPINE MRI, non-contrast.\n",
        "FINDINGS:\n",
    ),
    "korean": ("", "요추 MRI 판독\n", "요추 자기공명영상:\n", "[판독]\n"),
    "mixed": ("", "L-spine MRI 판독:\n", "MRI L-spine\n", "L-spine MRI (조영제 사용 안함)\n"),
}
_HISTORY = {
    "english": ("Clinical information: low back pain, r/o HNP.\n", "History: LBP, pain in the left leg.\n",
                "Indication: suspected disc herniation at L4-5.\n"),
    "korean": ("임상정보: 요통 및 하지 방사통.\n", "병력: 3개월 전부터 요통.\n"),
    "mixed": ("Clinical information: 요통, r/o HNP.\n", "History: LBP, 좌측 하지 방사통.\n"),
}  # fmt: skip
_POSITIVE = {
    "english": (
        "{levels}: {side}disc protrusion, {effect}.",
        "{Side}disc protrusion at {levels}.",
        "{levels}: {side}disc extrusion with inferior migration.",
        "Herniated disc at {levels}, {effect}.",
        "HNP at {levels}.",
        "{levels}: HIVD, {effect}.",
        "Herniated nucleus pulposus, {levels}.",
        "{Side}disc herniation noted at {levels}.",
        "{levels}: ruptured disc.",
        "{levels}: sequestrated disc fragment.",
        "{Side}disc prolapse at {levels}.",
        "{Side}disc protruion noted at {levels}, {effect}.",
    ),
    "korean": (
        "{levels} 추간판 탈출증.",
        "{levels} {side}추간판 탈출 소견 보임.",
        "{levels}에서 {side}추간판 돌출이 관찰됨.",
        "{levels} 추간판 돌출로 {effect}.",
        "{levels}에 디스크 탈출 있음.",
    ),
    "mixed": (
        "{levels} level에 HNP 소견 있음.",
        "{levels}에서 {side}disc protrusion 관찰됨.",
        "{levels}: HIVD, {effect} 동반.",
        "{levels} {side}disc extrusion 보임.",
        "{levels} 추간판 탈출 (disc herniation).",
    ),
}
_HEDGED = {
    "english": ("Suspected disc protrusion at {levels}.", "{levels}: disc herniation cannot be excluded."),
    "korean": ("{levels} 추간판 탈출 의심됨.", "{levels} 추간판 돌출 가능성 있음."),
    "mixed": ("{levels} disc protrusion 의심됨.", "{levels}: suspected HNP."),
}
_SIDE = {
    "english": (
        "",
        "central ",
        "right paracentral ",
        "left paracentral ",
        "left foraminal ",
        "small ",
        "broad-based ",
    ),
    "korean": ("", "우측 ", "좌측 ", "중심성 "),
    "mixed": ("", "right paracentral ", "Lt. ", "central "),
}
_EFFECT = {
    "english": (
        "compressing the thecal sac",
        "abutting the left nerve root",
        "with mild central canal stenosis",
    ),
    "korean": ("신경근이 눌림", "경막낭 압박 소견 보임"),
    "mixed": ("thecal sac compression", "nerve root 압박"),
}
_NEGATIVE = {  # a line each about one level that is not herniated
    "english": (
        "{level}: diffuse disc bulging.",
        "Mild bulging disc at {level}.",
        "No disc herniation at {level}.",
        "{level}: no evidence of protrusion or extrusion.",
        "{level}: disc desiccation, height preserved.",
        "Facet arthrosis at {level}.",
        "Previously noted disc protrusion at {level} is no longer seen.",
        "Mild bulging at {level} without herniation.",
    ),
    "korean": (
        "{level} 추간판 팽윤.",
        "{level} 경미한 추간판 팽윤 소견 보임.",
        "{level} 추간판 탈출 소견 없음.",
        "{level} 퇴행성 변화.",
    ),
    "mixed": (
        "{level} bulging disc 소견.",
        "{level} level의 disc herniation은 없음.",
        "{level} disc degeneration 소견 있음.",
        "{level}: mild bulging, HNP 소견 없음.",
    ),
}
_BYSTANDER = {
    "english": ("Schmorl's node at the L2 upper end plate.", "T12-L1: small disc protrusion.",
                "Conus ends at L1.", "Hemangioma in the L3 body."),
    "korean": ("척수 신호 강도는 정상임.", "L2 상부 종판에 쉬모를 결절 있음."),
    "mixed": ("Schmorl's node, L3 상부.", "Conus medullaris 정상."),
}  # fmt: skip
_REST = {
    "english": ("The remaining levels are unremarkable.", "No other significant finding."),
    "korean": ("그 외 특이 소견 없음.", "나머지 부위는 정상임."),
    "mixed": ("그 외 특이 소견 없음.", "Otherwise unremarkable."),
}
_CLEAR = {
    "english": ("No evidence of disc herniation.", "No significant disc herniation or protrusion is seen.",
                "Unremarkable MRI of the lumbar spine.", "No HNP."),
    "korean": ("추간판 탈출 소견 없음.", "요추부 특이 소견 없음.", "추간판 탈출이나 돌출은 관찰되지 않음."),
    "mixed": ("HNP 소견 없음.", "Disc herniation은 관찰되지 않음.", "L-spine 특이 소견 없음."),
}  # fmt: skip

WITHOUT_LEVEL = ("Disc herniation with nerve root compression.", "추간판 탈출증 소견 보임.", "HNP 소견 있음.")
SIXTH_LUMBAR = (
    "L5-6: left paracentral disc protrusion.",
    "L5-6 disc extrusion 관찰됨. L6 lumbarization 있음.",
)
ELSEWHERE = {
    "cervical": ("C-SPINE", "C5-6: central disc protrusion."),
    "brain": ("BRAIN", "No acute intracranial lesion."),
    "thoracic": ("T-SPINE", "T7-8 추간판 돌출 소견."),
    "knee": ("KNEE", "Horizontal tear of the medial meniscus."),
}


def report_text(labels: np.ndarray, language: str, rng: Random) -> tuple[str, bool]:
    """A report that says these labels (5) and no others, and whether it hedges."""
    spelling = (
        _SPELLINGS[rng.integers(len(_SPELLINGS))] if language != "korean" else _SPELLINGS[rng.integers(2)]
    )
    positive = [k for k in range(len(LEVELS)) if labels[k]]
    negative = [k for k in range(len(LEVELS)) if not labels[k]]
    hedged = bool(positive) and rng.random() < 0.08
    lines: list[str] = []
    for group in _grouped(positive, rng):
        template = _pick((_HEDGED if hedged else _POSITIVE)[language], rng)
        side = _pick(_SIDE[language], rng)
        effect = _pick(_EFFECT[language], rng)
        text = template.format(
            levels=_listed(group, spelling, language, rng), side=side, Side=side, effect=effect
        )
        lines.append(text[0].upper() + text[1:])
    rng.shuffle(negative)
    for k in sorted(negative[: int(rng.integers(0, 3))], reverse=True):  # bulges lie low more often than high
        lines.append(_pick(_NEGATIVE[language], rng).format(level=spelling[k]))
    if rng.random() < 0.2:
        lines.append(_pick(_BYSTANDER[language], rng))
    rng.shuffle(lines)
    if not positive:
        lines.append(_pick(_CLEAR[language], rng))
    elif rng.random() < 0.5:
        lines.append(_pick(_REST[language], rng))
    history = _pick(_HISTORY[language], rng) if rng.random() < 0.3 else ""
    return history + _pick(_HEADING[language], rng) + "\n".join(lines), hedged


def _grouped(positive: list[int], rng: Random) -> list[list[int]]:
    """The herniated levels, in one finding or in one each."""
    if len(positive) > 1 and rng.random() < 0.5:
        return [[k] for k in positive]
    return [positive] if positive else []


def _listed(group: list[int], spelling: tuple[str, ...], language: str, rng: Random) -> str:
    """Levels as a list, in short, or as a range."""
    names = [spelling[k] for k in group]
    in_a_row = len(group) > 1 and group[-1] - group[0] == len(group) - 1
    chance = rng.random()
    if in_a_row and len(group) > 2 and chance < 0.3:
        return f"{names[0]} to {names[-1]}" if language != "korean" else ", ".join(names)
    if in_a_row and len(group) > 2 and group[-1] == 4 and chance < 0.5:
        return f"L{group[0] + 1}-S1"
    if len(group) > 1 and chance < 0.7 and group[-1] < 4:
        return (
            names[0] + "".join(f", {k + 1}-{k + 2}" for k in group[1:])
            if "/" not in names[0]
            else ", ".join(names)
        )
    if len(group) > 1 and language == "english" and chance < 0.85:
        return ", ".join(names[:-1]) + " and " + names[-1]
    return ", ".join(names)


def _pick(choices: tuple[str, ...], rng: Random) -> str:
    return choices[int(rng.integers(len(choices)))]
