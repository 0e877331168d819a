"""The page that an HTML report stands in: one file, light and dark, for a desk, a phone and paper."""

from __future__ import annotations

from html import escape

_STYLE = """
:root { color-scheme: light dark; --page: #fbfaf8; --card: #fff; --ink: #1d2126; --soft: #646c76; --rule: #dedbd5;
  --accent: #0b6bcb; --pass: #1a7f4b; --warn: #9a6200; --fail: #c02a2a; --band: #2d9c6233; --hatch: #8883;
  --t0: #0b6bcb; --t1: #c2571a; --t2: #7b4bc9; --t3: #1a7f4b; --t4: #b0307e; --t5: #6b6f1c; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14171b; --card: #1c2026; --ink: #e8e9ea; --soft: #9aa3ad; --rule: #353b43;
    --accent: #6db3ff; --pass: #5fcf95; --warn: #f0b34b; --fail: #ff8080; --band: #5fcf9526; --hatch: #aaa3;
    --t0: #6db3ff; --t1: #ffa26b; --t2: #bd9bff; --t3: #5fcf95; --t4: #ff8fce; --t5: #cfd36a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 860px; margin: 0 auto; padding: 24px 16px 48px; }
h1 { font-size: 1.05rem; font-weight: 600; margin: 0; color: var(--soft); overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 0 0 4px; }
.answer { font-size: clamp(1.5rem, 5vw, 2.1rem); font-weight: 700; line-height: 1.2; margin: 6px 0 10px;
  letter-spacing: -.01em; text-wrap: balance; }
.state { display: inline-block; font-weight: 600; border: 1.5px solid; border-radius: 6px; padding: 2px 10px; }
.pass { color: var(--pass); } .warn { color: var(--warn); } .fail { color: var(--fail); } .none { color: var(--soft); }
ul.reasons { margin: 8px 0; padding-left: 1.2em; color: var(--warn); }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 16px;
  margin-top: 16px; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 0; }
dt { color: var(--soft); font-size: .82rem; } dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }
p.note, figcaption { color: var(--soft); font-size: .86rem; margin: 4px 0 0; }
figure { margin: 8px 0 0; } .scroll { overflow-x: auto; }
svg { display: block; width: 100%; height: auto; } svg.chart { min-width: 560px; }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
svg.strip text { font-size: 20px; paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
.frame { fill: none; stroke: var(--rule); } .line { stroke: var(--rule); fill: none; }
.zero { stroke: var(--soft); stroke-dasharray: 4 3; fill: none; } .cut { stroke: #8889; stroke-dasharray: 2 4; }
.band { fill: var(--band); } .inherited { fill: var(--hatch); }
.halo { stroke: #000a; stroke-width: 5; fill: none; stroke-linecap: round; }
.segment { stroke: #fff; stroke-width: 2.5; fill: none; stroke-linecap: round; } .interval { fill: #8884; }
.plain .segment { stroke: var(--ink); } .plain .halo { stroke: var(--card); }
.before { fill: var(--fail); } .after { fill: var(--pass); } .heat { image-rendering: auto; }
circle { opacity: .6; } .t0 { fill: var(--t0); } .t1 { fill: var(--t1); } .t2 { fill: var(--t2); }
.t3 { fill: var(--t3); } .t4 { fill: var(--t4); } .t5 { fill: var(--t5); }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 12px 4px 0; border-bottom: 1px solid var(--rule); white-space: nowrap; }
td.words { white-space: normal; } th { color: var(--soft); font-weight: 600; }
summary { cursor: pointer; font-weight: 600; }
footer { color: var(--soft); font-size: .82rem; margin-top: 20px; overflow-wrap: anywhere; }
@media (max-width: 480px) { main { padding: 14px 10px 32px; } section { padding: 12px; } }
@media print {
  :root { --page: #fff; --card: #fff; --ink: #000; --soft: #444; --rule: #bbb; }
  body { font-size: 11pt; } main { max-width: none; padding: 0; } svg.chart { min-width: 0; }
  section { break-inside: avoid; border-color: #bbb; } section.long { break-inside: auto; }
  svg.strip { min-width: 0 !important; } .scroll { overflow: visible; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
"""


def page(title: str, body: str) -> str:
    """A whole HTML document; `title` is plain text, `body` is markup."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body><main>{body}</main></body></html>\n"
    )


def section(heading: str, inside: str, *, long: bool = False) -> str:
    """A card with a heading; `long` ones may be broken over pages of paper."""
    kind = ' class="long"' if long else ""
    return f"<section{kind}><h2>{escape(heading)}</h2>{inside}</section>\n"


def figure(svg: str, caption: str) -> str:
    """A figure that scrolls sideways where the screen is narrow."""
    return f'<figure><div class="scroll">{svg}</div><figcaption>{escape(caption)}</figcaption></figure>'


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A table of plain texts."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def facts(pairs: list[tuple[str, str]]) -> str:
    """Names and values side by side."""
    return "<dl>" + "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in pairs) + "</dl>"
