/** What cells were run with, in the order in which they ran. */

import type { JsonObject } from '../json.js';

interface Entry {
  /** The execution count. */
  readonly line: number;
  readonly input: string;
  /** As text; null where the cell had no value. */
  readonly output: string | null;
}

/** A kernel remembers what it has run itself: its one session has this number. */
const session = 1;

/** Older ones are forgotten, and so is the end of long outputs. */
const mostEntries = 10_000;
const mostOutputChars = 10_000;

export class History {
  readonly #entries: Entry[] = [];

  add(entry: Entry): void {
    this.#entries.push({ ...entry, output: entry.output?.slice(0, mostOutputChars) ?? null });
    if (this.#entries.length > mostEntries) this.#entries.shift();
  }

  /** The content of a `history_reply`; the fields are those of the request, each of the kind it has to be. */
  answer(request: JsonObject): JsonObject {
    const found = this.#find(request);
    const toTuple = ({ line, input, output }: Entry) => [
      session,
      line,
      request.output === true ? [input, output] : input,
    ];
    return { status: 'ok', history: found.map(toTuple) };
  }

  #find({ hist_access_type: kind, n, start, stop, session: asked, pattern, unique }: JsonObject): Entry[] {
    const most = Number.isSafeInteger(n) && Number(n) >= 0 ? Number(n) : mostEntries;
    if (kind === 'tail') return last(this.#entries, most);
    if (kind === 'search') return last(this.#search(String(pattern ?? '*'), unique === true), most);
    // A session counted from this one backwards, or by its number.
    if (asked !== undefined && asked !== 0 && asked !== session) return [];
    const from = Number.isSafeInteger(start) ? Number(start) : 0;
    const to = Number.isSafeInteger(stop) ? Number(stop) : Number.POSITIVE_INFINITY;
    return this.#entries.filter(({ line }) => line >= from && line < to);
  }

  #search(pattern: string, isUnique: boolean): Entry[] {
    const found = this.#entries.filter(({ input }) => matchesGlob(input, pattern));
    if (!isUnique) return found;
    return [...new Map(found.map((entry) => [entry.input, entry])).values()].sort((a, b) => a.line - b.line);
  }
}

function last(entries: readonly Entry[], count: number): Entry[] {
  return count === 0 ? [] : entries.slice(-count);
}

/** `*` for any text and `?` for one character, in time proportional to both lengths at most. */
function matchesGlob(text: string, pattern: string): boolean {
  let at = 0;
  let inPattern = 0;
  let star = -1;
  let afterStar = 0;
  while (at < text.length) {
    const wanted = pattern[inPattern];
    if (wanted === '*') {
      star = inPattern++;
      afterStar = at;
    } else if (wanted === '?' || wanted === text[at]) {
      inPattern += 1;
      at += 1;
    } else if (star >= 0) {
      inPattern = star + 1;
      at = ++afterStar;
    } else return false;
  }
  return /^\**$/.test(pattern.slice(inPattern));
}
