/** The page's look. */

export const pageStyle = `
:root { --ink: #1f2933; --muted: #5f6b7a; --line: #e1e5ea; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #f6f7f9; line-height: 1.55;
  font-family: Inter, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif; font-size: 15px; }
header { background: white; border-bottom: 1px solid var(--line); }
.inner, main { max-width: 1120px; margin: 0 auto; padding: 0 28px; }
header .inner { padding-top: 34px; padding-bottom: 22px; }
h1 { margin: 0 0 6px; font-size: 30px; letter-spacing: -0.015em; overflow-wrap: anywhere; }
h2 { margin: 34px 0 10px; font-size: 19px; letter-spacing: -0.01em; }
.question { margin: 0 0 14px; font-size: 17px; color: var(--muted); max-width: 46em; }
.badge { display: inline-block; padding: 2px 11px; margin-right: 8px; border-radius: 999px; font-size: 13px; font-weight: 600; }
.measured { background: #dcefe4; color: #0b5d3b; }
.simulated { background: #fdeccb; color: #7a4b00; }
.note { color: var(--muted); font-size: 13.5px; }
section.card { background: white; border: 1px solid var(--line); border-radius: 10px; padding: 14px 18px; margin: 0 0 18px; overflow: hidden; }
.verdicts { margin: 0; padding-left: 20px; max-width: 60em; }
.verdicts li { margin: 3px 0; }
.chart label { margin-bottom: 6px; display: flex; flex-wrap: wrap; align-items: center; gap: 8px; font-size: 13.5px; color: var(--muted); }
.chart select { max-width: 100%; padding: 4px 8px; font: inherit; color: var(--ink); background: white; border: 1px solid #c5ccd6; border-radius: 6px; }
.scroll { overflow-x: auto; max-height: 640px; overflow-y: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th { position: sticky; top: 0; background: white; text-align: left; border-bottom: 2px solid var(--line); padding: 0; white-space: nowrap; }
th button { all: unset; cursor: pointer; padding: 7px 10px; font-weight: 600; }
th button:focus-visible { outline: 2px solid var(--accent); }
th[aria-sort=ascending] button::after { content: ' ▲'; color: var(--accent); }
th[aria-sort=descending] button::after { content: ' ▼'; color: var(--accent); }
td { padding: 5px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th.number, td.number { text-align: right; }
tbody tr:hover { background: #f3f7fb; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 5px 20px; margin: 0; font-size: 13.5px; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
footer { color: var(--muted); font-size: 13px; padding: 8px 0 40px; }
code { font-family: ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace; font-size: 0.93em; }
section.card:has(.scroll) { overflow: visible; }
.filter { display: inline-flex; align-items: center; gap: 8px; margin-bottom: 8px; font-size: 13.5px; color: var(--muted); }
.filter input { padding: 4px 8px; font: inherit; color: var(--ink); border: 1px solid #c5ccd6; border-radius: 6px; width: 20em; max-width: 60vw; }
.filter + .note { margin-left: 12px; }
@media (max-width: 760px) { .inner, main { padding: 0 14px; } section.card { padding: 12px; } dl { grid-template-columns: 1fr; gap: 1px; } dd { margin-bottom: 6px; } }
@media print {
  @page { size: A4; margin: 12mm; }
  body { background: white; font-size: 12px; }
  .inner, main { max-width: none; padding: 0; }
  h2 { break-after: avoid; margin-top: 18px; }
  section.card { break-inside: avoid; overflow: visible; }
  section.card:has(.scroll) { break-inside: auto; }
  .chart label, .filter, .modebar { display: none; }
  .canvas { zoom: var(--print-zoom, 1); }
  .scroll { overflow: visible; max-height: none; }
  th { position: static; white-space: normal; }
  td { white-space: normal; overflow-wrap: anywhere; }
  table { font-size: 8.5px; }
  th button, td { padding: 2px 4px; }
  tr { break-inside: avoid; }
}
`;
