"""How the report looks: one style sheet, neutral in light and dark, that needs nothing from elsewhere."""

# Of lines in charts, told apart by lightness too; then of what is small and what is large.
SERIES_COLORS = ("#3b74c4", "#d0732c", "#3d9a6b", "#a0569b", "#8a8f3a", "#c04b55")

CSS = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #ffffff; --text: #23272f; --faint: #6a7280;
  --line: #dfe3e9; --soft: #eef1f5; --accent: #3b74c4; --band: #3b74c433; }
@media (prefers-color-scheme: dark) { :root { --page: #16181d; --card: #1f2229; --text: #e4e7ec; --faint: #98a1b0;
  --line: #343943; --soft: #2a2e37; --accent: #6f9fe0; --band: #6f9fe044; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; letter-spacing: -0.01em; }
h2 { font-size: 21px; margin: 44px 0 12px; }
h3 { font-size: 16px; margin: 0 0 10px; }
p { margin: 6px 0; }
.faint, figcaption, summary { color: var(--faint); }
.faint { font-size: 13.5px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px; margin: 14px 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 14px; }
.pair .card { margin: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 7px 7px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--faint); font-weight: 500; font-size: 13px; }
th:first-child, td:first-child { text-align: left; }
td:first-child { white-space: normal; min-width: 150px; }
tr:last-child td { border-bottom: 0; }
td small { display: block; color: var(--faint); font-size: 12px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 12px 0 0; font-size: 14px; }
dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
svg { display: block; max-width: 100%; height: auto; }
svg text { fill: var(--faint); font-size: 12px; font-family: inherit; }
svg text.strong { fill: var(--text); }
svg .axis { stroke: var(--line); } svg .curve { fill: none; stroke: var(--accent); stroke-width: 1.5; }
svg .bar { fill: var(--accent); } svg .bone { stroke: var(--line); stroke-width: 7; stroke-linecap: round; }
svg .lead { stroke: var(--faint); stroke-width: 0.7; stroke-dasharray: 2 3; } svg .track { fill: var(--soft); }
.videos { display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 14px 20px; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: 12.5px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
figcaption b { color: var(--text); font-weight: 600; }
details { margin-top: 14px; } summary { cursor: pointer; margin-bottom: 12px; }
.frames { display: grid; grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); gap: 12px; }
.frame { background: var(--soft); border-radius: 8px; padding: 8px; }
.frame div { display: flex; } .frame img { width: 50%; height: auto; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 13px; margin-top: 8px; color: var(--faint); }
.legend i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 6px; vertical-align: -1px; }
.scale { display: flex; align-items: center; gap: 8px; font-size: 13px; color: var(--faint); margin: 4px 0 12px; }
.scale span { width: 160px; height: 10px; border-radius: 5px; }
"""


def svg(width: int, height: int, content: str) -> str:
    """A drawing of this size in pixels, its colours from the style sheet."""
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">{content}</svg>'
