/** Tokens as text while they come: never a part of a character, and in the end the text that all of them make together. */

import type { Tokenizer } from './types.js';

/** A character has at most three bytes behind its first; tokens that wait longer than this are no beginning of one. */
const longestWait = 32;

/** Bytes that are no UTF-8, or not yet. */
const replacement = '\ufffd';

export class TextStream {
  readonly #tokenizer: Pick<Tokenizer, 'decode'>;
  /** The tokens of the latest text that was told, whose end decides how the next are spelled, and those not told yet. */
  #ids: readonly number[];
  #numTold: number;

  /** @param before tokens that the text goes on behind; they are not told */
  constructor(tokenizer: Pick<Tokenizer, 'decode'>, before: readonly number[] = []) {
    this.#tokenizer = tokenizer;
    this.#ids = before;
    this.#numTold = before.length;
  }

  /** What is certain of the text now and was not before. */
  push(id: number): string {
    this.#ids = [...this.#ids, id];
    const text = this.#untold();
    if (!text.endsWith(replacement)) return this.#tell(text, this.#ids.length);
    if (this.#ids.length - this.#numTold < longestWait) return '';
    // No character is that long: what stands there are bytes of none, but for the last three.
    const end = this.#ids.length - 3;
    return this.#tell(this.#untold(end), end);
  }

  /** The rest, as it is. */
  end(): string {
    return this.#tell(this.#untold(), this.#ids.length);
  }

  #untold(end = this.#ids.length): string {
    const told = this.#tokenizer.decode(this.#ids.slice(0, this.#numTold));
    return this.#tokenizer.decode(this.#ids.slice(0, end)).slice(told.length);
  }

  #tell(text: string, end: number): string {
    if (text !== '') {
      this.#ids = this.#ids.slice(this.#numTold);
      end -= this.#numTold;
    }
    this.#numTold = end;
    return text;
  }
}
