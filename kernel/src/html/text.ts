/** What a program printed, as a terminal would have left it: lines written over, characters taken back, colours. */

import { escapeHtml } from '../display/escape.js';

/** Nobody reads further, and a browser would not scroll it. */
const mostChars = 2_000_000;

export function renderText(text: string): string {
  const cut = text.length > mostChars ? `\n[cut: the first ${mostChars} of ${text.length} characters]` : '';
  const lines = text.slice(0, mostChars).split('\n').map(settleLine);
  return renderColours(`${lines.join('\n')}${cut}`);
}

/** A carriage return begins the line anew, over what is there; a backspace takes a character back. */
function settleLine(line: string): string {
  const parts = line.replace(/\r+$/, '').split('\r');
  const written = parts.reduce((shown, part) =>
    // Colours have no width, so a line with them is taken as a whole.
    shown.includes('\u001b') || part.includes('\u001b') ? part || shown : part + shown.slice(part.length),
  );
  return written.includes('\b') ? takeBack(written) : written;
}

function takeBack(line: string): string {
  const shown: string[] = [];
  for (const character of line)
    if (character === '\b') shown.pop();
    else shown.push(character);
  return shown.join('');
}

/** What is in force at a place of the text. */
interface Look {
  readonly ink: string | null;
  readonly paper: string | null;
  readonly styles: readonly string[];
}

const plain: Look = { ink: null, paper: null, styles: [] };
// biome-ignore lint/suspicious/noControlCharactersInRegex: this one begins a colour
const colourCode = /\u001b\[([\d;:]*)m/g;

function renderColours(text: string): string {
  let html = '';
  let look = plain;
  let end = 0;
  const push = (part: string) => {
    const shown = escapeHtml(withoutOrders(part));
    html += shown === '' || look === plain ? shown : `<span style="${cssOf(look)}">${shown}</span>`;
  };
  for (const match of text.matchAll(colourCode)) {
    push(text.slice(end, match.index));
    look = nextLook(look, match[1].split(/[;:]/).map(Number));
    end = match.index + match[0].length;
  }
  push(text.slice(end));
  return html;
}

/** Titles and links of a terminal, what moves its cursor, other orders, and what else is no character. */
const orders =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is left out
  /\u001b[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)?|\u001b\[[0-?]*[ -/]*[@-~]?|\u001b[ -~]?|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** Tabs and line ends stay. */
const withoutOrders = (text: string): string => text.replace(orders, '');

const styles: Readonly<Record<number, string>> = {
  1: 'font-weight:bold',
  2: 'opacity:0.7',
  3: 'font-style:italic',
  4: 'text-decoration:underline',
  9: 'text-decoration:line-through',
};

/** https://en.wikipedia.org/wiki/ANSI_escape_code#Select_Graphic_Rendition_parameters */
function nextLook(before: Look, codes: readonly number[]): Look {
  let look = before;
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at];
    const style = styles[code];
    if (code === 0) look = plain;
    else if (style !== undefined) look = { ...look, styles: [...new Set([...look.styles, style])] };
    else if (code >= 22 && code <= 29) look = { ...look, styles: [] };
    else if (code === 39) look = { ...look, ink: null };
    else if (code === 49) look = { ...look, paper: null };
    else if (code === 38 || code === 48) {
      const [colour, numRead] = readLongColour(codes.slice(at + 1));
      look = code === 38 ? { ...look, ink: colour } : { ...look, paper: colour };
      at += numRead;
    } else if (isIn(code, 30) || isIn(code, 90)) look = { ...look, ink: basicColour(code % 10, code >= 90) };
    else if (isIn(code, 40) || isIn(code, 100))
      look = { ...look, paper: basicColour(code % 10, code >= 100) };
  }
  return look.ink === null && look.paper === null && look.styles.length === 0 ? plain : look;
}

const isIn = (code: number, first: number): boolean => code >= first && code < first + 8;

/** Jupyter's colours, readable on light and on dark. */
const basic = ['#3e424d', '#e75c58', '#00a250', '#ddb62b', '#208ffb', '#d160c4', '#60c6c8', '#a1a6b2'];
const bright = ['#5c6370', '#b22b31', '#007427', '#b27d12', '#0065ca', '#a03196', '#258f8f', '#c5c1b4'];

function basicColour(index: number, isBright: boolean): string {
  return (isBright ? bright : basic)[index];
}

/** `5;n`, one of 256, or `2;r;g;b`. */
function readLongColour([kind, ...rest]: readonly number[]): [colour: string | null, numRead: number] {
  const byte = (value = 0) => Math.min(255, Math.max(0, Math.trunc(value) || 0));
  if (kind === 2) return [`rgb(${byte(rest[0])},${byte(rest[1])},${byte(rest[2])})`, 4];
  if (kind !== 5) return [null, 1];
  const index = byte(rest[0]);
  if (index < 16) return [basicColour(index % 8, index >= 8), 2];
  if (index >= 232)
    return [
      `rgb(${Array(3)
        .fill(8 + 10 * (index - 232))
        .join(',')})`,
      2,
    ];
  const level = (step: number) => (step === 0 ? 0 : 55 + 40 * step);
  const cube = index - 16;
  const channels = [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map(level);
  return [`rgb(${channels.join(',')})`, 2];
}

function cssOf({ ink, paper, styles: kept }: Look): string {
  const colours = [
    ...(ink === null ? [] : [`color:${ink}`]),
    ...(paper === null ? [] : [`background:${paper}`]),
  ];
  return [...colours, ...kept].join(';');
}
