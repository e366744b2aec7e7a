/** How an exported notebook looks, in light and in dark. */
export const pageStyle = `
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fff; --faint: #f4f6f8; --line: #d9dfe5; --note: #6b7785; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dde3ea; --paper: #14181d; --faint: #1d232a; --line: #333c46; --note: #8d99a6; }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
pre, code { font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; }
pre { overflow-x: auto; margin: 0.5rem 0; padding: 0.5rem 0.75rem; }
pre.code { background: var(--faint); border: 1px solid var(--line); border-radius: 4px; }
.count { color: var(--note); font: 12px/1 ui-monospace, monospace; }
.output { overflow-x: auto; }
pre.stderr { border-left: 3px solid #c98a1b; }
pre.error { border-left: 3px solid #c0392b; }
code.formula { font-style: italic; }
p.formula { overflow-x: auto; }
math { font-size: 1.1em; }
.note { color: var(--note); font-size: 0.9em; }
.comment { color: var(--note); } .keyword { color: #8250df; } .string { color: #1a7f5a; } .number { color: #b35900; }
table { border-collapse: collapse; margin: 0.5rem 0; }
th, td { padding: 0.2rem 0.7rem; border-bottom: 1px solid var(--line); text-align: right; }
img, svg { max-width: 100%; }
`;
