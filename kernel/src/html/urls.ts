/** Addresses and style sheets of strangers: which of them a page may hold. */

const namedReferences: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  colon: ':',
  Tab: '\t',
  NewLine: '\n',
  nbsp: '\u00a0',
};

/** Only these could disguise an address, and are decoded; in any other reference the `&` is kept as it is. */
export function decodeReferences(text: string): string {
  return text.replace(/&(?:#(?:x([\da-f]+)|(\d+))|(\w+));?/gi, (all, hex, decimal, name) => {
    if (name !== undefined) return Object.hasOwn(namedReferences, name) ? namedReferences[name] : all;
    const code = hex !== undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : '';
  });
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: browsers leave these out before they read an address
const ignored = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

function readUrl(value: string): string {
  return decodeReferences(value).replace(ignored, '').trim().replaceAll(' ', '%20');
}

const schemeOf = (url: string): string | null => /^([^/?#]*?):/.exec(url)?.[1]?.toLowerCase() ?? null;
const linkSchemes = new Set(['http', 'https', 'mailto', 'tel']);

/** An address that a click may lead to; null for any that could run something. */
export function maybeLinkUrl(value: string): string | null {
  const url = readUrl(value);
  const scheme = schemeOf(url);
  return scheme === null || linkSchemes.has(scheme) ? url : null;
}

const mediaData = /^data:(?:image\/(?:png|jpe?g|gif|webp|avif|bmp|svg\+xml)|(?:audio|video)\/[\w.+-]+)[;,]/i;

/** The data of a picture, a sound or a film, or a file beside the page: nothing of another place. */
export function maybeImageUrl(value: string, find: (url: string) => string | null): string | null {
  const url = readUrl(value);
  const found = find(url);
  if (found !== null) return found;
  const scheme = schemeOf(url);
  if (scheme === 'data') return mediaData.test(url) ? url : null;
  return scheme === null && url !== '' && !/^[/\\]{2}/.test(url) ? url : null;
}

/** Whether CSS loads nothing, runs nothing, and stays where it stands. */
export function isHarmlessStyle(css: string): boolean {
  if (css.includes('\\')) return false; // escapes can spell anything
  const text = css.replace(/\/\*[\s\S]*?\*\//g, '').toLowerCase();
  const loads = text.replace(/url\(\s*["']?(?:#|data:image\/)/g, '');
  return !/url\s*\(|image-set|@import|@namespace|expression\s*\(|javascript:|behavior\s*:|-moz-binding|position\s*:\s*(?:fixed|sticky)/.test(
    loads,
  );
}
