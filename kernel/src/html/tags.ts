/** Text, start tags and end tags of HTML, as browsers tell them apart; comments and the like are passed over. */

/** By name, in small letters but where SVG has capitals; values as written, references and all. */
export type Attributes = ReadonlyMap<string, string>;

export type Piece =
  | { readonly kind: 'text'; readonly text: string; readonly end: number }
  | { readonly kind: 'nothing'; readonly end: number }
  | { readonly kind: 'end'; readonly name: string; readonly end: number }
  | {
      readonly kind: 'start';
      readonly name: string;
      readonly attributes: Attributes;
      readonly isSelfClosing: boolean;
      readonly end: number;
    };

const letter = /[a-z]/i;

/** @param isForeignContent whether CDATA sections are text here: inside SVG and MathML. */
export function nextPiece(html: string, start: number, isForeignContent: boolean): Piece {
  if (html[start] !== '<') {
    const next = html.indexOf('<', start);
    const end = next < 0 ? html.length : next;
    return { kind: 'text', text: html.slice(start, end), end };
  }
  const second = html[start + 1] ?? '';
  if (letter.test(second)) return readTag(html, start + 1, 'start');
  if (second === '/' && letter.test(html[start + 2] ?? '')) return readTag(html, start + 2, 'end');
  if (html.startsWith('<!--', start)) return skipComment(html, start + 4);
  if (isForeignContent && html.startsWith('<![CDATA[', start)) {
    const close = html.indexOf(']]>', start);
    const end = close < 0 ? html.length : close;
    return { kind: 'text', text: html.slice(start + 9, end), end: Math.min(html.length, end + 3) };
  }
  if (second === '!' || second === '?' || second === '/') return skip(html, start + 2, />/g);
  return { kind: 'text', text: '<', end: start + 1 };
}

function skipComment(html: string, start: number): Piece {
  const empty = /^-?>/.exec(html.slice(start, start + 2));
  return empty ? { kind: 'nothing', end: start + empty[0].length } : skip(html, start, /--!?>/g);
}

function skip(html: string, start: number, close: RegExp): Piece {
  close.lastIndex = start;
  return { kind: 'nothing', end: close.exec(html) === null ? html.length : close.lastIndex };
}

const namePattern = /[^\s/>]+/y;
const gap = /[\s/]*/y;
const attributeName = /[^\s/>][^\s/>=]*/y;
const equals = /\s*=\s*/y;
const unquoted = /[^\s>]*/y;

function matchAt(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? '';
}

/** A tag that is not finished when the text ends is dropped, as in browsers. */
function readTag(html: string, nameStart: number, kind: 'start' | 'end'): Piece {
  const written = matchAt(namePattern, html, nameStart);
  const name = toKnownCase(written);
  const attributes = new Map<string, string>();
  let at = nameStart + written.length;
  for (;;) {
    const between = matchAt(gap, html, at);
    at += between.length;
    if (at >= html.length) return { kind: 'nothing', end: html.length };
    if (html[at] === '>') {
      const end = at + 1;
      return kind === 'end'
        ? { kind, name, end }
        : { kind, name, attributes, isSelfClosing: between.endsWith('/'), end };
    }
    const attribute = matchAt(attributeName, html, at);
    at += attribute.length;
    let value = '';
    const sign = matchAt(equals, html, at);
    if (sign !== '') {
      at += sign.length;
      const quote = html[at];
      if (quote === '"' || quote === "'") {
        const close = html.indexOf(quote, at + 1);
        if (close < 0) return { kind: 'nothing', end: html.length };
        value = html.slice(at + 1, close);
        at = close + 1;
      } else {
        value = matchAt(unquoted, html, at);
        at += value.length;
      }
    }
    const key = toKnownCase(attribute);
    if (!attributes.has(key)) attributes.set(key, value);
  }
}

/** Browsers know names whatever their case; written, all but some of SVG's are small. */
function toKnownCase(name: string): string {
  return capitalNames.get(name.toLowerCase()) ?? name.toLowerCase();
}

const capitalNames = new Map(
  (
    'clipPath feBlend feColorMatrix feComposite feDropShadow feFlood feGaussianBlur feMerge feMergeNode feOffset ' +
    'foreignObject linearGradient radialGradient textPath clipPathUnits gradientTransform gradientUnits ' +
    'markerHeight markerUnits markerWidth maskContentUnits maskUnits patternContentUnits patternTransform ' +
    'patternUnits preserveAspectRatio primitiveUnits refX refY spreadMethod startOffset stdDeviation ' +
    'textLength lengthAdjust viewBox'
  )
    .split(' ')
    .map((name) => [name.toLowerCase(), name]),
);
