/** Texts at which a text ends: they are left out of it, wherever the borders of tokens lie. */

import { smallest } from '../extremes.js';

export interface StoppedText {
  /** Can no longer become part of a stop string. */
  readonly text: string;
  readonly isStopped: boolean;
}

export class StopStrings {
  readonly #stops: readonly string[];
  /** The end of the text so far that may be the beginning of a stop string. */
  #held = '';

  /** @param stops none of them empty */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** Of several stop strings, the one that begins first ends the text. */
  push(text: string): StoppedText {
    const all = this.#held + text;
    const places = this.#stops.map((stop) => all.indexOf(stop)).filter((place) => place >= 0);
    if (places.length > 0) {
      this.#held = '';
      return { text: all.slice(0, smallest(places)), isStopped: true };
    }
    const held = this.#stops.reduce((most, stop) => Math.max(most, overlap(all, stop)), 0);
    this.#held = all.slice(all.length - held);
    return { text: all.slice(0, all.length - held), isStopped: false };
  }

  /** What was held back, when nothing more comes. */
  end(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }
}

/** How long the longest beginning of `stop` is that `text` ends with. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length -= 1)
    if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}
