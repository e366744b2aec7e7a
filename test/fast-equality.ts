/**
 * Views of memory that hold the same bytes are equal: vitest compares them number by number, which takes seconds for a
 * model's weights. Where bytes differ it decides, and says where.
 */

import { expect } from 'vitest';

/** Of a process, in which file follows file: each would add it anew. */
const isAdded = Symbol.for('specoffload.fast-equality');

if (!(isAdded in globalThis)) {
  Object.defineProperty(globalThis, isAdded, { value: true });
  expect.addEqualityTesters([
    (a: unknown, b: unknown) =>
      ArrayBuffer.isView(a) && ArrayBuffer.isView(b) && a.constructor === b.constructor && haveSameBytes(a, b)
        ? true
        : undefined,
  ]);
}

function haveSameBytes(a: ArrayBufferView, b: ArrayBufferView): boolean {
  return a.byteLength === b.byteLength && Buffer.compare(bytesOf(a), bytesOf(b)) === 0;
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
