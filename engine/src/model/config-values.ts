/** Values of one configuration file, each checked against what it may be. */

import { check, is, type JsonRecord, printable, quote, type Schema, UserError } from '@specoffload/input';

export const redownload = 'correct it or download the checkpoint again';

export class ConfigValues {
  readonly json: JsonRecord;
  /** Names the file in messages. */
  readonly source: string;
  readonly #warn: (text: string) => void;

  /**
   * @param source names the file in messages
   * @param warn takes what two fields that contradict each other have been settled to
   */
  constructor(json: JsonRecord, source: string, warn: (text: string) => void) {
    this.json = json;
    this.source = source;
    this.#warn = warn;
  }

  /** @param missing what a field that is not there means */
  take<Output>(name: string, schema: Schema<Output>, missing?: Output): Output {
    const value = this.get(name);
    const words = { whole: name, remedy: redownload };
    return check(schema, value === undefined ? missing : value, this.source, words);
  }

  /** A whole number from `least` to `max`. */
  count(name: string, max: number, missing?: number, least = 1): number {
    return this.take(name, is.wholeFrom(least, max), missing);
  }

  real(name: string, min: number, max: number, missing?: number): number {
    return this.take(name, is.numberFrom(min, max), missing);
  }

  flag(name: string): boolean {
    return this.take(name, is.orNull(is.flag), false) ?? false;
  }

  /** The object of that name, its fields called `name.field`; null where there is none. */
  object(name: string): ConfigValues | null {
    const value = this.take(name, is.orNull(is.object), null);
    return value && new ConfigValues(value, `${this.source}: ${name}`, this.#warn);
  }

  /** The same values but for some. */
  without(...names: readonly string[]): ConfigValues {
    const others = Object.entries(this.json).filter(([name]) => !names.includes(name));
    return new ConfigValues(Object.fromEntries(others), this.source, this.#warn);
  }

  /** The same values under those of another, which hold where both have one. */
  under(others: ConfigValues): ConfigValues {
    return new ConfigValues({ ...this.json, ...others.json }, this.source, this.#warn);
  }

  get(name: string): unknown {
    return Object.hasOwn(this.json, name) ? this.json[name] : undefined;
  }

  isThere(name: string): boolean {
    return (this.get(name) ?? null) !== null;
  }

  /** Tells of a contradiction that transformers settles, and how. */
  warn(contradiction: string, settledTo: string): void {
    this.#warn(`${this.source}: ${contradiction}; ${settledTo}, as transformers 5 does`);
  }

  invalid(field: string, value: unknown, expected: string): UserError {
    return new UserError(
      `${this.source}: invalid ${field}: ${quote(value)}; expected ${expected}; ${redownload}`,
    );
  }

  unsupported(field: string, value: unknown, expected: string, remedy: string): UserError {
    return new UserError(
      `${this.source}: unsupported ${field}: ${quote(value)}; expected ${expected}; ${remedy}`,
    );
  }
}

const told = new Set<string>();

/** Says it once per process, on the channel that Node has for this: standard error, or whoever listens for warnings. */
export function warnOfCheckpoint(words: string): void {
  const text = printable(words); // of paths, too: Node shows them as they are
  if (told.has(text)) return;
  told.add(text);
  process.emitWarning(text, 'CheckpointWarning');
}
