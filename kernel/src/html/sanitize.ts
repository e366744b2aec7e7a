/**
 * HTML of strangers as HTML that runs nothing and loads nothing: elements, attributes and addresses by allow-list.
 *
 * What is kept is written anew, tag by tag, text and attribute values escaped, so that however a browser reads it, no
 * other tag than these can come of it. That carries the safety; reading tags as browsers do only keeps more of what was
 * meant. Work is linear in the length.
 */

import { escapeHtml } from '../display/escape.js';
import {
  isAllowedAttribute,
  isAllowedElement,
  isForeign,
  isOptionallyClosed,
  isRawText,
  isVoid,
} from './allowed.js';
import { type Attributes, nextPiece } from './tags.js';
import { decodeReferences, isHarmlessStyle, maybeImageUrl, maybeLinkUrl } from './urls.js';

export interface SanitizeOptions {
  /** An image's own address for one that only the notebook knows; null for any other. */
  readonly findImage?: (url: string) => string | null;
}

/** Browsers go about as deep. */
const mostOpen = 256;

export function sanitizeHtml(html: string, { findImage = () => null }: SanitizeOptions = {}): string {
  const written: string[] = [];
  const open: string[] = [];
  const numOpen = new Map<string, number>();
  const count = (name: string, by: number) => numOpen.set(name, (numOpen.get(name) ?? 0) + by);
  const isOpen = (name: string) => (numOpen.get(name) ?? 0) > 0;
  const closeLast = () => {
    const name = open.pop()!;
    count(name, -1);
    written.push(`</${name}>`);
  };

  let position = 0;
  while (position < html.length) {
    const piece = nextPiece(html, position, isOpen('svg') || isOpen('math'));
    position = piece.end;
    if (piece.kind === 'text') written.push(escapeText(piece.text));
    else if (piece.kind === 'start') {
      const { name } = piece;
      // In SVG a title is a note on a shape.
      if (isRawText(name) && !(name === 'title' && isOpen('svg'))) {
        const { text, end } = readRawText(html, position, name);
        position = end;
        if (name === 'style') written.push(writeStyle(text));
        continue;
      }
      const tag = isAllowedElement(name) ? writeTag(name, piece.attributes, findImage) : null;
      if (tag === null) continue;
      const isKeptOpen = !isVoid(name) && !isOptionallyClosed(name) && tag.isOpen;
      if (isKeptOpen && open.length >= mostOpen) continue;
      written.push(tag.text);
      if (!isKeptOpen) continue;
      open.push(name);
      count(name, 1);
      if (piece.isSelfClosing && isForeign(name)) closeLast();
    } else if (piece.kind === 'end') {
      const { name } = piece;
      if (isOptionallyClosed(name)) written.push(`</${name}>`);
      else if (isOpen(name)) while (isOpen(name) && open.at(-1) !== name) closeLast();
      if (open.at(-1) === name) closeLast();
    }
  }
  while (open.length > 0) closeLast();
  return written.join('');
}

/** Character references are kept: in text they only stand for characters, never for tags. */
function escapeText(text: string): string {
  return text.replace(/[<>\0]/g, (character) =>
    character === '<' ? '&lt;' : character === '>' ? '&gt;' : '',
  );
}

/** What stands in an element that holds no tags, up to its end. */
function readRawText(html: string, start: number, name: string): { text: string; end: number } {
  const close = new RegExp(`</${name}(?=[\\s/>])[^>]*>?`, 'gi');
  close.lastIndex = start;
  const match = close.exec(html);
  const isAll = match === null || name === 'plaintext';
  return isAll
    ? { text: html.slice(start), end: html.length }
    : { text: html.slice(start, match.index), end: close.lastIndex };
}

/** Without anything that a browser could take for a tag, wherever the style sheet stands. */
function writeStyle(text: string): string {
  const css = text.replace(/<!\[CDATA\[|\]\]>|<!--|-->/g, '');
  return css.includes('<') || !isHarmlessStyle(css) ? '' : `<style>${css}</style>`;
}

interface WrittenTag {
  readonly text: string;
  /** Whether an end tag belongs to it. */
  readonly isOpen: boolean;
}

function writeTag(
  name: string,
  attributes: Attributes,
  findImage: (url: string) => string | null,
): WrittenTag | null {
  if (name === 'input' && attributes.get('type')?.toLowerCase() !== 'checkbox') return null;
  const kept: string[] = [];
  for (const [attribute, value] of attributes) {
    if (!isAllowedAttribute(attribute, name)) continue;
    const safe = cleanAttribute(name, attribute, value, findImage);
    if (safe !== null) kept.push(` ${attribute}="${safe}"`);
  }
  if (name === 'img' && !kept.some((text) => text.startsWith(' src=')))
    return { text: linkToImage(attributes), isOpen: false };
  if (name === 'input') kept.push(' disabled=""');
  if (name === 'a') kept.push(' rel="noreferrer"');
  return { text: `<${name}${kept.join('')}>`, isOpen: true };
}

/** An image of another place is not fetched: its name stands for it, and leads there. */
function linkToImage(attributes: Attributes): string {
  const url = maybeLinkUrl(attributes.get('src') ?? '');
  const alt = escapeHtml(decodeReferences(attributes.get('alt') ?? '').trim() || 'image');
  return url === null || url === ''
    ? `<span>[${alt}]</span>`
    : `<a href="${escapeHtml(url)}" rel="noreferrer">[${alt}]</a>`;
}

/** Attributes that hold text for people. */
const isWording = /^(?:alt|aria-.*|summary|title|value)$/;

/** @returns the value between its quotes; null where the attribute has to go. */
function cleanAttribute(
  element: string,
  attribute: string,
  value: string,
  findImage: (url: string) => string | null,
): string | null {
  if (attribute === 'href' || attribute === 'xlink:href' || attribute === 'cite') {
    if (element === 'use' || element === 'textPath')
      return /^\s*#[\w.:-]*\s*$/.test(value) ? value.trim() : null;
    const url = element === 'image' ? maybeImageUrl(value, findImage) : maybeLinkUrl(value);
    return url === null ? null : escapeHtml(url);
  }
  if (attribute === 'src' || attribute === 'poster') {
    const url = maybeImageUrl(value, findImage);
    return url === null ? null : escapeHtml(url);
  }
  const decoded = decodeReferences(value);
  if (attribute === 'id' && !/^[\w:.-]+$/.test(decoded)) return null;
  // Names that the page's own scripts go by.
  if ((attribute === 'id' || attribute === 'class') && /plotly|specoffload/i.test(decoded)) return null;
  const isStyle = attribute === 'style' || (!isWording.test(attribute) && /url\s*\(|\\/i.test(decoded));
  if (isStyle) return isHarmlessStyle(decoded) ? escapeHtml(decoded) : null;
  return value.replace(/["<>\0]/g, (character) => (character === '\0' ? '' : escapeHtml(character)));
}
