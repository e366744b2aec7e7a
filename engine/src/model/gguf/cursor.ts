/** Little-endian numbers and texts of a GGUF header, one behind the other. */

import { UserError } from '@specoffload/input';

/** The header goes on behind the bytes at hand. */
export class NeedsMoreBytes extends Error {
  override readonly name = 'NeedsMoreBytes';
}

export class Cursor {
  readonly #bytes: Buffer;
  readonly #path: string;
  at = 0;

  constructor(bytes: Buffer, path: string) {
    this.#bytes = bytes;
    this.#path = path;
  }

  /** The offset of so many bytes, which are passed. */
  #pass(byteLength: number): number {
    const start = this.at;
    this.at += byteLength;
    if (this.at > this.#bytes.length) throw new NeedsMoreBytes();
    return start;
  }

  u8 = (): number => this.#bytes.readUInt8(this.#pass(1));
  i8 = (): number => this.#bytes.readInt8(this.#pass(1));
  u16 = (): number => this.#bytes.readUInt16LE(this.#pass(2));
  i16 = (): number => this.#bytes.readInt16LE(this.#pass(2));
  u32 = (): number => this.#bytes.readUInt32LE(this.#pass(4));
  i32 = (): number => this.#bytes.readInt32LE(this.#pass(4));
  f32 = (): number => this.#bytes.readFloatLE(this.#pass(4));
  f64 = (): number => this.#bytes.readDoubleLE(this.#pass(8));
  /** Rounded beyond 2^53: a count or an offset as large as that is refused by whoever uses it. */
  u64 = (): number => Number(this.#bytes.readBigUInt64LE(this.#pass(8)));
  i64 = (): number => Number(this.#bytes.readBigInt64LE(this.#pass(8)));

  /** @param most bytes */
  text(what: string, most: number): string {
    const byteLength = this.count(what, most);
    const start = this.#pass(byteLength);
    return this.#bytes.toString('utf8', start, start + byteLength);
  }

  count(what: string, most: number): number {
    const count = this.u64();
    if (count <= most) return count;
    throw new UserError(
      `${this.#path}: invalid ${what}: ${count}; expected at most ${most}; the file is damaged or no GGUF, download it again`,
    );
  }
}
