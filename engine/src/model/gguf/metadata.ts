/** Checked access to a GGUF file's metadata. */

import { quote, UserError } from '@specoffload/input';
import type { Gguf } from './file.js';
import type { Value } from './header.js';

export class Metadata {
  readonly #gguf: Gguf;

  constructor(gguf: Gguf) {
    this.#gguf = gguf;
  }

  has(key: string): boolean {
    return this.#gguf.metadata.has(key);
  }

  hasTensor(name: string): boolean {
    return this.#gguf.files.some(({ tensors }) => tensors.some((tensor) => tensor.name === name));
  }

  invalid(key: string, expected: string): UserError {
    const value = this.#gguf.metadata.get(key);
    const found = value === undefined ? 'nothing' : quote(value);
    return new UserError(
      `${this.#gguf.path}: invalid ${key}: ${found}; expected ${expected}; use a file that llama.cpp's current tools wrote`,
    );
  }

  /** Lists with a value per layer count where all are equal. */
  maybeNumber(key: string): number | undefined {
    const value = this.#gguf.metadata.get(key);
    if (value === undefined) return undefined;
    const one = Array.isArray(value) && value.every((each) => each === value[0]) ? value[0] : value;
    if (typeof one !== 'number') throw this.invalid(key, 'a number, the same for all layers');
    return shortest(one);
  }

  number(key: string): number {
    const value = this.maybeNumber(key);
    if (value === undefined) throw this.invalid(key, 'a number');
    return value;
  }

  maybeText(key: string): string | undefined {
    return this.#maybe(key, isText, 'a text');
  }

  text(key: string): string {
    const value = this.maybeText(key);
    if (value === undefined) throw this.invalid(key, 'a text');
    return value;
  }

  maybeFlag(key: string): boolean | undefined {
    return this.#maybe(key, (value) => typeof value === 'boolean', 'true or false');
  }

  texts(key: string): readonly string[] {
    return this.#list(key, isText, 'a list of texts');
  }

  numbers(key: string): readonly number[] {
    return this.#list(key, (value): value is number => typeof value === 'number', 'a list of numbers');
  }

  #maybe<Kind extends Value>(key: string, isKind: (value: Value) => value is Kind, expected: string) {
    const value = this.#gguf.metadata.get(key);
    if (value === undefined || isKind(value)) return value;
    throw this.invalid(key, expected);
  }

  #list<Kind extends Value>(key: string, isKind: (value: Value) => value is Kind, expected: string) {
    const value = this.#gguf.metadata.get(key);
    if (Array.isArray(value) && value.every(isKind)) return value as readonly Kind[];
    throw this.invalid(key, expected);
  }
}

function isText(value: Value): value is string {
  return typeof value === 'string';
}

/** The decimal number that was meant by an fp32: 1e-5, not 0.000009999999747. */
function shortest(value: number): number {
  for (let digits = 6; digits < 9; digits += 1) {
    const decimal = Number(value.toPrecision(digits));
    if (Math.fround(decimal) === value) return decimal;
  }
  return value;
}
