"""How the report looks: light and dark, on paper, on a phone."""

STYLE = """
:root { color-scheme: light dark; --page: #f6f6f4; --panel: #ffffff; --ink: #1b1e22; --soft: #5a626b; --line: #dfe2e5;
  --shade: #0000003d;
  --pass: #14703f; --pass-back: #e3f3e9; --fail: #b3261e; --fail-back: #fbe6e4;
  --fp32: #566170; --fp16: #0a66c2; --bf16: #7a4fc9; --int8: #b35309; }
@media (prefers-color-scheme: dark) { :root { --page: #111417; --panel: #191d21; --ink: #e9ecef; --soft: #a3acb5;
  --line: #30363d; --shade: #000000cc; --pass: #5fd08f; --pass-back: #14301f; --fail: #ff8f85; --fail-back: #3b1a18;
  --fp32: #b3bdc8; --fp16: #6bb1ff; --bf16: #bda1ff; --int8: #ffa657; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 64px; }
header { margin-bottom: 28px; }
h1 { font-size: 30px; line-height: 1.15; letter-spacing: -0.01em; margin: 2px 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 4px; }
h3 { font-size: 14px; margin: 18px 0 6px; }
p { margin: 0 0 12px; }
.soft, small { color: var(--soft); }
.eyebrow { margin: 0; font-size: 13px; color: var(--soft); }
.verdict { display: flex; gap: 12px; align-items: baseline; margin: 18px 0 0; padding: 14px 18px; border-radius: 8px;
  background: var(--pass-back); border-left: 5px solid var(--pass); }
.verdict b { color: var(--pass); white-space: nowrap; }
.verdict.failed { background: var(--fail-back); border-color: var(--fail); }
.verdict.failed b, .no { color: var(--fail); }
.yes { color: var(--pass); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(215px, 1fr)); gap: 14px; margin-bottom: 14px; }
.card, section { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; }
.card { padding: 14px 16px; border-top: 4px solid var(--tone); }
.card header { display: flex; justify-content: space-between; margin: 0 0 8px; font-weight: 600; }
.card .big { font-size: 24px; line-height: 1.2; font-weight: 600; font-variant-numeric: tabular-nums; }
.card dl { grid-template-columns: 1fr auto; margin-top: 10px; gap: 2px 10px; }
.card dd { text-align: right; }
section { padding: 20px 22px; margin-bottom: 14px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 22px; margin: 10px 0 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 22px 36px; }
figure { margin: 0; max-width: 500px; }
figcaption { font-weight: 600; font-size: 14px; margin: 8px 0 6px; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font-size: 11.5px; fill: var(--ink); paint-order: stroke; stroke: var(--panel); stroke-width: 4px;
  stroke-linejoin: round; }
svg text.tick, svg text.group { fill: var(--soft); }
svg text.group { font-size: 11px; }
svg text.limit { fill: var(--fail); }
svg text.value { fill: var(--soft); font-variant-numeric: tabular-nums; }
svg text.label { font-weight: 600; }
svg .grid, svg .row { stroke: var(--line); stroke-width: 1; }
svg .row { stroke-opacity: 0.7; }
svg line.limit { stroke: var(--fail); stroke-width: 1.5; stroke-dasharray: 4 3; }
svg .over { fill: var(--fail); fill-opacity: 0.07; }
svg polyline { fill: none; stroke: var(--tone); stroke-width: 2; stroke-linejoin: round; }
svg polyline.dashed { stroke-dasharray: 6 3; }
svg circle, svg .bar, svg text.label { fill: var(--tone); }
.fp32 { --tone: var(--fp32); } .fp16 { --tone: var(--fp16); } .bf16 { --tone: var(--bf16); }
.int8 { --tone: var(--int8); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 14px;
  margin-bottom: 14px; align-items: start; }
.pair section { margin: 0; }
.wide { overflow-x: auto; margin: 10px 0 0;
  background: linear-gradient(to right, var(--panel) 30%, transparent) 0 0 / 44px 100%,
    linear-gradient(to left, var(--panel) 30%, transparent) 100% 0 / 44px 100%,
    linear-gradient(to right, var(--shade), transparent) 0 0 / 16px 100%,
    linear-gradient(to left, var(--shade), transparent) 100% 0 / 16px 100%;
  background-repeat: no-repeat; background-attachment: local, local, scroll, scroll; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 14px 6px 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 500; color: var(--soft); font-size: 13px; vertical-align: bottom;
  white-space: normal; }
th:first-child, td:first-child { text-align: left; }
tr:last-child td { border-bottom: 0; }
.words { white-space: normal; text-align: left; }
th:last-child, td:last-child { padding-right: 0; }
.chip { display: inline-block; width: 9px; height: 9px; border-radius: 2px; background: var(--tone);
  margin-right: 8px; }
.note { border-left: 3px solid var(--int8); padding: 1px 0 1px 12px; margin: 10px 0; }
.number { white-space: nowrap; }
details { margin-top: 12px; } summary { cursor: pointer; color: var(--soft); }
code { font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
footer { color: var(--soft); font-size: 13px; margin-top: 22px; }
@media (max-width: 560px) { main { padding: 24px 14px 40px; } section { padding: 16px 15px; } h1 { font-size: 25px; }
  .verdict b { display: block; } .verdict { display: block; } th, td { padding-right: 9px; }
  table { font-size: 13.5px; } .cards { grid-template-columns: 1fr 1fr; gap: 10px; } .card { padding: 11px 12px; }
  .card dl { grid-template-columns: 1fr; gap: 0; } .card dd { text-align: left; margin-bottom: 5px; }
  .scrolls::before { content: "scrolls sideways →"; position: sticky; left: 0; color: var(--soft); font-size: 12px; }
  .card .big { font-size: 21px; } section > dl { grid-template-columns: 1fr; gap: 0; }
  section > dl > dd { margin-bottom: 7px; } }
@media print { :root { --page: #ffffff; --panel: #ffffff; --ink: #000000; --soft: #444444; --line: #bbbbbb;
  --shade: transparent;
  --pass: #14703f; --pass-back: #ffffff; --fail: #b3261e; --fail-back: #ffffff; --fp32: #566170; --fp16: #0a66c2;
  --bf16: #7a4fc9; --int8: #b35309; color-scheme: light; }
  body { font-size: 11px; } main { max-width: none; padding: 0; } figure, tr, .card { break-inside: avoid; }
  h2, h3 { break-after: avoid; } .plots { grid-template-columns: 1fr 1fr; }
  .cards { grid-template-columns: repeat(4, 1fr); } figure { max-width: 320px; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } .wide { overflow: visible; } }
"""
