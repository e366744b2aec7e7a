/** An experiment as one HTML file: opens without a network, and shows what records say without obeying it. */

import { gzipSync } from 'node:zlib';
import { escapeHtml, type Figure, plotlyScript, toScriptJson } from '@specoffload/kernel';
import { figureTemplate } from '../figures/theme.js';
import type { RecordedSearch } from '../sweep/recorded-search.js';
import { plural } from '../terminal/format.js';
import { type Chart, metricCharts, ratioCharts } from './charts.js';
import { pageScript } from './client.js';
import { effectCharts, effectTableHtml, tablesOfEffects } from './effects.js';
import { energyCharts } from './energy-charts.js';
import { countKinds, provenanceFacts } from './provenance.js';
import { queueCharts } from './queue-charts.js';
import { acceptanceCharts, laneCharts, predictionCharts } from './run-charts.js';
import { searchCharts, searchTable } from './search.js';
import { pageStyle } from './style.js';
import type { Subject } from './subject.js';
import { pointTable } from './table.js';
import { traceCharts } from './traces.js';
import { verdicts } from './verdicts.js';

export interface RenderedPage {
  readonly html: string;
  readonly numCharts: number;
  readonly numTimelines: number;
}

/** Nothing may be fetched, whatever a record holds. Plotly styles its elements and loads images that it made itself. */
const contentPolicy =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:";

/**
 * @param onWarning told of each trace that cannot be read
 * @param search that chose the points, where one did
 */
export async function renderPage(
  subject: Subject,
  onWarning: (sentence: string) => void = () => {},
  search: RecordedSearch | null = null,
): Promise<RenderedPage> {
  const traces = await traceCharts(subject, onWarning);
  const effects = tablesOfEffects(subject);
  const charts = [
    ...metricCharts(subject),
    ...ratioCharts(subject),
    ...effectCharts(effects, subject),
    ...(search ? searchCharts(search) : []),
    ...predictionCharts(subject),
    ...acceptanceCharts(subject),
    ...laneCharts(subject),
    ...queueCharts(subject),
    ...energyCharts(subject),
    ...traces.charts,
  ];
  const traceNote =
    traces.numTraces > traces.numShown
      ? `<p class="note">${traces.numShown} of ${traces.numTraces} runs with a trace; any <code>trace.json.gz</code> opens in ui.perfetto.dev.</p>`
      : '';
  const body = [
    headerHtml(subject),
    '<main>',
    card('What it found', `<ul class="verdicts">${verdicts(subject).map(itemHtml).join('')}</ul>`),
    ...charts.map((chart) =>
      card(chart.heading, `${chartHtml(chart)}${chart.heading === 'Timeline' ? traceNote : ''}`),
    ),
    card('Points', pointTable(subject)),
    ...(search ? [card('The search, step by step', searchTable(search))] : []),
    ...(effects.length === 0 ? [] : [card('What each axis brings', effects.map(effectTableHtml).join('\n'))]),
    card('Where the numbers come from', provenanceHtml(subject)),
    '<footer>Made by SpecOffload Lab from the records that this page sums up.</footer>',
    '</main>',
  ].join('\n');
  return { html: documentHtml(subject.name, body), numCharts: charts.length, numTimelines: traces.numShown };
}

function documentHtml(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${contentPolicy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)} - SpecOffload Lab</title>
<link rel="icon" href="data:,">
<style>${pageStyle}</style>
</head>
<body>
${body}
<script type="application/json" id="template">${toScriptJson(figureTemplate)}</script>
${plotlyScript()}
<script>${pageScript}</script>
</body>
</html>
`;
}

function headerHtml({ name, question, runs, points }: Subject): string {
  const badges = countKinds(runs.map(({ record }) => record)).map((text) => {
    const kind = text.split(' ').at(-1)!;
    return `<span class="badge ${kind}">${escapeHtml(text)}</span>`;
  });
  return [
    '<header><div class="inner">',
    `<h1>${escapeHtml(name)}</h1>`,
    question === '' ? '' : `<p class="question">${escapeHtml(question)}</p>`,
    `<div>${badges.join('')}<span class="note">runs of ${plural(points.length, 'point')}</span></div>`,
    '</div></header>',
  ].join('\n');
}

const card = (heading: string, content: string) =>
  `<h2>${escapeHtml(heading)}</h2>\n<section class="card">${content}</section>`;

const itemHtml = (text: string) => `<li>${escapeHtml(text)}</li>`;

/** Charts of more characters than this travel packed. */
const mostPlainCharacters = 20_000;

function chartHtml({ choices }: Chart): string {
  const [first] = choices;
  if (!first) return '<p class="note">Nothing to draw.</p>';
  const height = typeof first.figure.layout.height === 'number' ? first.figure.layout.height : 450;
  const select =
    choices.length > 1
      ? `<label>show <select>${choices.map(({ label }) => `<option>${escapeHtml(label)}</option>`).join('')}</select></label>`
      : '';
  return [
    `<div class="chart">${select}`,
    `<div class="canvas" style="min-height:${height}px"></div>`,
    `<script type="application/json">${toScriptJson(choices.map(({ figure }) => packFigure(figure)))}</script>`,
    '</div>',
  ].join('');
}

/** Without the look that all figures share. */
function packFigure({ data, layout }: Figure) {
  const { template: _template, ...own } = layout;
  const figure = { data, layout: own };
  const text = JSON.stringify(figure);
  if (text.length <= mostPlainCharacters) return { figure };
  return { packed: gzipSync(text, { level: 9 }).toString('base64') };
}

function provenanceHtml(subject: Subject): string {
  const lines = provenanceFacts(subject).map(
    ([name, texts]) => `<dt>${escapeHtml(name)}</dt><dd>${texts.map(escapeHtml).join('<br>')}</dd>`,
  );
  return `<dl>${lines.join('\n')}</dl>`;
}
