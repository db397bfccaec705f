"""The TeX that labels of axes have, as text with Greek letters and raised or lowered pieces: for SVG, which has no MathJax.

Handles what labels use: `$...$`, `_x`, `^{...}`, Greek letters, a few signs, fonts (dropped). An unknown command keeps its name,
so nothing is lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

__all__ = ["Piece", "pieces", "plain_text", "svg_spans"]

_GREEK = (
    "alpha:α beta:β gamma:γ delta:δ epsilon:ε varepsilon:ε zeta:ζ eta:η theta:θ iota:ι kappa:κ lambda:λ mu:μ nu:ν xi:ξ pi:π "
    "rho:ρ sigma:σ tau:τ upsilon:υ phi:φ varphi:φ chi:χ psi:ψ omega:ω Gamma:Γ Delta:Δ Theta:Θ Lambda:Λ Xi:Ξ Pi:Π Sigma:Σ "
    "Upsilon:Υ Phi:Φ Psi:Ψ Omega:Ω ell:ℓ hbar:ħ"
)
_SIGNS = {
    "times": "×", "cdot": "·", "pm": "±", "mp": "∓", "to": "→", "rightarrow": "→", "leq": "≤", "le": "≤", "geq": "≥",
    "ge": "≥", "neq": "≠", "approx": "≈", "sim": "∼", "infty": "∞", "sum": "∑", "sqrt": "√", "prime": "′", "circ": "°",
    "quad": " ", "left": "", "right": "", "mathrm": "", "mathit": "", "mathbf": "", "text": "", "textrm": "", "rm": "", "it": "",
}  # fmt: skip
_COMMANDS = {**dict(pair.split(":") for pair in _GREEK.split()), **_SIGNS}
_TOKEN = re.compile(r"\\([A-Za-z]+)\s?|\\(.)|([_^{}])|([^\\_^{}]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a label; `level` is 0 on the line, 1 raised, -1 lowered."""

    text: str
    level: int


def pieces(label: str) -> tuple[Piece, ...]:
    """A label as pieces; text outside of `$...$` is taken as it is."""
    found: list[Piece] = []
    for number, part in enumerate(label.split("$")):
        if number % 2 == 0:
            found.append(Piece(part, 0))
        else:
            found += _formula(part) if label.count("$") > number else [Piece(f"${part}", 0)]
    return tuple(piece for piece in found if piece.text)


def _formula(text: str) -> list[Piece]:
    found: list[Piece] = []
    levels, coming = [0], 0
    for command, sign, mark, words in _TOKEN.findall(text):
        if mark in {"_", "^"} and mark:
            coming = -1 if mark == "_" else 1
        elif mark == "{":
            levels.append(coming or levels[-1])
            coming = 0
        elif mark == "}":
            levels = levels[:-1] or [0]
        else:
            written = (
                _COMMANDS.get(command, command) if command else {",": " ", ";": " ", "!": ""}.get(sign, sign)
            )
            written += words
            if coming and written:
                found.append(Piece(written[0], coming))
                written, coming = written[1:], 0
            found.append(Piece(written, levels[-1]))
    return found


def plain_text(label: str) -> str:
    """A label without any layout."""
    return "".join(piece.text for piece in pieces(label))


def svg_spans(label: str) -> str:
    """A label as the content of an SVG `text` element."""
    spans, at = [], 0
    for piece in pieces(label):
        if piece.level == at == 0:
            spans.append(escape(piece.text))
            continue
        size = ' font-size="75%"' if piece.level else ""
        spans.append(f'<tspan dy="{4 * (at - piece.level)}"{size}>{escape(piece.text)}</tspan>')
        at = piece.level
    return "".join(spans)
