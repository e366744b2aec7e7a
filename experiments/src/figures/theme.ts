/** How all figures look: colours that keep their meaning from figure to figure, one font, quiet axes. */

import type { TaskKind } from '@specoffload/engine';
import type { Figure } from '@specoffload/kernel';

export const ink = '#1f2933';
export const mutedInk = '#5f6b7a';
export const gridColor = '#e8ebef';
const lineColor = '#b8c0cc';

/** Okabe and Ito's palette, told apart by colour-blind readers too; its yellow darkened, which white swallows. */
const blue = '#0072b2';
const sky = '#56b4e9';
const orange = '#e69f00';
const green = '#009e73';
const pink = '#cc79a7';
const vermilion = '#d55e00';
const ochre = '#a08a00';
const violet = '#6a51a3';
const grey = '#8a94a3';
const navy = '#0b3c5d';

/** Of strategies and of the systems they stand for, by name in small letters without punctuation. */
const namedColors: Readonly<Record<string, string>> = {
  specoffload: blue,
  serial: sky,
  none: grey,
  flexgen: orange,
  fiddler: green,
  deepspeed: pink,
  accelerate: vermilion,
  hetegen: ochre,
  apex: violet,
  planned: navy,
  interleaved: blue,
  ahead: navy,
  measured: blue,
  simulated: orange,
  predicted: orange,
  published: grey,
};

/** What other series get, in order: without those that mean a strategy where a figure has one. */
const freeColors = [blue, orange, green, vermilion, violet, ochre, sky, pink, navy, grey];

/** A colour for each of a figure's series. Known names keep theirs, the others take what is left. */
export function colorsFor(names: readonly string[]): ReadonlyMap<string, string> {
  const known = names.map(colorOfName);
  const left = freeColors.filter((color) => !known.includes(color));
  let numTaken = 0;
  return new Map(
    names.map((name, i) => {
      const color = known[i] ?? (left.length > 0 ? left : freeColors)[numTaken++ % Math.max(1, left.length)];
      return [name, color ?? grey];
    }),
  );
}

/** undefined for a name that is no system's. `SpecOffload (as published)` is SpecOffload. */
function colorOfName(name: string): string | undefined {
  const words = name.toLowerCase().match(/[a-z]+/g) ?? [];
  return namedColors[words[0] ?? ''];
}

/** Movement in greys and blues, arithmetic in warm colours, attention green, the draft violet. */
export const taskColors: Readonly<Record<TaskKind, string>> = {
  load: '#7c8ea6',
  upload: '#4e79a7',
  fetch: '#86bcd8',
  store: '#b3d3e3',
  attention: '#4d9f5d',
  realign: '#9c755f',
  embed: '#f0d06b',
  project: '#f6b26b',
  mix: '#ee8b2a',
  expert: '#e4632d',
  merge: '#c9502c',
  head: '#b07d1e',
  draft: '#8457a8',
};

/** What the device did or waited for. */
export const deviceTimeColors = {
  busy: '#ee8b2a',
  weights: '#7c8ea6',
  attention: '#4d9f5d',
  draft: '#8457a8',
  nothing: '#dfe3e8',
} as const;

const axis = {
  gridcolor: gridColor,
  linecolor: lineColor,
  tickcolor: lineColor,
  zerolinecolor: lineColor,
  showline: true,
  ticks: 'outside',
  ticklen: 4,
  automargin: true,
  title: { standoff: 10 },
};

/** What all figures share, as a Plotly template. */
export const figureTemplate = {
  layout: {
    font: {
      family: "Inter, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif",
      size: 13,
      color: ink,
    },
    paper_bgcolor: 'white',
    plot_bgcolor: 'white',
    title: {
      x: 0,
      xref: 'paper',
      xanchor: 'left',
      y: 1,
      yref: 'container',
      yanchor: 'top',
      pad: { t: 18 },
      font: { size: 17 },
    },
    xaxis: axis,
    yaxis: axis,
    legend: { orientation: 'h', x: 0, y: 1.01, xanchor: 'left', yanchor: 'bottom', font: { size: 12 } },
    margin: { l: 70, r: 30, t: 78, b: 60 },
    hoverlabel: { bgcolor: 'white', bordercolor: lineColor, font: { color: ink, size: 12 } },
    colorway: freeColors,
    bargap: 0.25,
    bargroupgap: 0.05,
  },
};

export interface Titles {
  readonly title: string;
  /** One line of context: what is held fixed, how many repeats, measured or simulated. */
  readonly subtitle?: string;
}

/** A figure in the house's look: title and context above, then the legend, as much room for them as they need. */
export function createFigure(
  { title, subtitle = '' }: Titles,
  data: readonly unknown[],
  layout: Readonly<Record<string, unknown>>,
): Figure {
  const below =
    subtitle === '' ? '' : `<br><span style="font-size:12.5px;color:${mutedInk}">${label(subtitle)}</span>`;
  const legend = legendOf(data as readonly LegendTrace[], layout);
  return {
    data,
    layout: {
      ...{ template: figureTemplate, title: { text: `${label(title)}${below}` } },
      ...{ margin: { t: legend === 'above' ? 102 : 78 }, showlegend: legend !== 'none' },
      ...(legend === 'beside' ? { legend: legendBeside } : {}),
      ...layout,
    },
  };
}

interface LegendTrace {
  readonly name?: string;
  readonly showlegend?: boolean;
}

const legendBeside = { orientation: 'v', x: 1.02, y: 1, xanchor: 'left', yanchor: 'top' };

/** What fits above the figure in one line, in characters and with so many for each entry's mark. */
const charactersAbove = 120;
const charactersPerMark = 7;

function legendOf(
  traces: readonly LegendTrace[],
  layout: Readonly<Record<string, unknown>>,
): 'none' | 'above' | 'beside' {
  const names = traces.flatMap(({ name, showlegend }) =>
    name === undefined || showlegend === false ? [] : [name],
  );
  if (layout.showlegend === false || names.length === 0) return 'none';
  const characters = names.reduce((sum, name) => sum + name.length + charactersPerMark, 0);
  return characters <= charactersAbove || layout.legend !== undefined ? 'above' : 'beside';
}

/**
 * Text from records as Plotly's labels hold it. Plotly reads a few tags in them and makes links of others, so that
 * what looks like a tag is spelled with entities, which Plotly shows as what they stand for.
 */
export function label(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

/** Lines of a hover text. */
export function hoverLines(...lines: readonly string[]): string {
  return lines
    .filter((line) => line !== '')
    .map(label)
    .join('<br>');
}

/** Text on a coloured area: white where that can be read. */
export function inkOn(color: string): string {
  const [red = 0, green = 0, blue = 0] = (color.match(/[0-9a-f]{2}/gi) ?? []).map((part) =>
    Number.parseInt(part, 16),
  );
  return 0.299 * red + 0.587 * green + 0.114 * blue > 150 ? ink : 'white';
}
