/** How Jupyter lays out a notebook file. */

/** Lines with their line ends. */
export function splitLines(text: string): string[] {
  return text === '' ? [] : text.split(/(?<=\n)/);
}

/** JSON with sorted keys and one space per level, which keeps differences between two runs small. */
export function writeSorted(value: unknown): string {
  return JSON.stringify(value, (_key, part) => (isPlainObject(part) ? sortKeys(part) : part), 1);
}

function sortKeys(object: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
