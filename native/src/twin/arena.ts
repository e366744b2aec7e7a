/** Arenas on SharedArrayBuffer: no alignment is promised, because nothing here reads directly. */

import type { Arena, ArenaHandle } from '../types.js';

class TwinArena implements Arena {
  readonly byteLength: number;
  #memory: SharedArrayBuffer | null;

  constructor(memory: SharedArrayBuffer) {
    this.#memory = memory;
    this.byteLength = memory.byteLength;
  }

  get handle(): ArenaHandle {
    return { kind: 'twin', memory: this.buffer, byteLength: this.byteLength };
  }

  get buffer(): SharedArrayBuffer {
    if (this.#memory) return this.#memory;
    throw new Error('invalid arena: it is released; expected one in use');
  }

  /** The garbage collector returns the memory once every holder has done this and dropped its views. */
  release(): void {
    this.#memory = null;
  }
}

export function createTwinArena(byteLength: number): Arena {
  return new TwinArena(new SharedArrayBuffer(byteLength));
}

export function openTwinArena(handle: ArenaHandle): Arena {
  if (handle.kind === 'twin') return new TwinArena(handle.memory);
  throw new TypeError(`invalid arena handle: ${handle.kind}; expected one of the twin`);
}
