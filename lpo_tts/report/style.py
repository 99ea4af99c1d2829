"""The report's style sheet: one column, light and dark, tables that scroll sideways on a phone."""

STYLE = """
:root { color-scheme: light dark; --page: #f9f9f7; --card: #fcfcfb; --ink: #1a1a19; --soft: #5c5b57; --line: #e1e0d9;
  --good: #067a06;
  --bad: #b3261e; --mark: #f8dcd8; --c0: #7a7974; --c1: #2a78d6; --c2: #b4540a; --c3: #128063; --c4: #8a4fc4; --c5: #b03a72; }
@media (prefers-color-scheme: dark) { :root { --page: #0f0f0e; --card: #1a1a19; --ink: #f2f1ec; --soft: #b0aea5;
  --line: #34332f;
  --good: #5fc35f; --bad: #ff8a80; --mark: #56231e; --c0: #a3a199; --c1: #5da2f0; --c2: #e58a43; --c3: #35b793;
  --c4: #b98ae6; --c5: #e277a6; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; text-wrap: balance; }
h2 { font-size: 1.2rem; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.15rem;
  margin-top: 1rem; }
p { margin: .4rem 0; max-width: 75ch; }
.soft, figcaption, caption { color: var(--soft); font-size: .875rem; }
.lead { font-size: 1.125rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; margin: .5rem 0; }
caption { text-align: left; padding-bottom: .25rem; }
th, td { text-align: right; padding: .35rem .5rem; border-bottom: 1px solid var(--line); white-space: nowrap;
  vertical-align: top; }
th:first-child, td:first-child, .left { text-align: left; }
thead th { color: var(--soft); font-weight: 600; white-space: normal; vertical-align: bottom; line-height: 1.3; }
td small { display: block; color: var(--soft); }
.better { color: var(--good); } .worse { color: var(--bad); } .better, .worse { font-weight: 600; }
figure { margin: .75rem 0; }
.scroll svg { min-width: 34rem; }
svg { width: 100%; max-width: 44rem; height: auto; display: block; }
svg text { fill: var(--ink); font-size: 13px; font-family: inherit; }
svg .tick { fill: var(--soft); font-size: 12px; } svg .group { font-weight: 600; } svg .name { font-weight: 600; }
svg .grid { stroke: var(--line); } svg .axis { stroke: var(--soft); } svg .bar { fill: var(--c1); }
svg .curve { fill: none; stroke-width: 2; stroke-linejoin: round; } svg .whisker { stroke-width: 3; stroke-linecap: round;
  opacity: .55; }
svg .c0 { stroke: var(--c0); } svg .c1 { stroke: var(--c1); } svg .c2 { stroke: var(--c2); }
svg .c3 { stroke: var(--c3); } svg .c4 { stroke: var(--c4); } svg .c5 { stroke: var(--c5); }
svg .dot { stroke: var(--card); stroke-width: 2; }
svg .dot.c0, svg .t0 { fill: var(--c0); } svg .dot.c1, svg .t1 { fill: var(--c1); } svg .dot.c2, svg .t2 { fill: var(--c2); }
svg .dot.c3, svg .t3 { fill: var(--c3); } svg .dot.c4, svg .t4 { fill: var(--c4); } svg .dot.c5, svg .t5 { fill: var(--c5); }
.example { border-top: 1px solid var(--line); padding: .75rem 0; }
.example:first-of-type { border-top: 0; }
.text { font-weight: 600; overflow-wrap: anywhere; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: .75rem 1.25rem; margin-top: .4rem; }
.side audio { width: 100%; height: 2.5rem; display: block; margin: .25rem 0; }
.side .head { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 .75rem; }
.heard { overflow-wrap: anywhere; }
.heard mark { background: var(--mark); color: inherit; border-radius: 3px; padding: 0 .2em; }
.heard del { color: var(--bad); text-decoration-thickness: 2px; }
.flag { color: var(--bad); font-weight: 600; }
details { margin: .5rem 0; } summary { cursor: pointer; color: var(--soft); }
.facts td { white-space: normal; overflow-wrap: anywhere; text-align: left; }
.facts td:first-child { white-space: nowrap; }
@media (max-width: 40rem) { main { padding: .75rem .5rem 3rem; } section { padding: .85rem .8rem; border-radius: 8px;
  } h1 { font-size: 1.3rem; } }
@media print { section { break-inside: avoid; } }
"""
