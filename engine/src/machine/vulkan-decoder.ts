/** What the host decodes for a Vulkan device: rows of embeddings, and weights stored in ways that no kernel reads. */

import { type Arena, type ArenaHandle, codecs, f32, loadNativeCore } from '@specoffload/native';
import type { EmbedCommand, StoredTensor } from './device.js';
import { PoolMemory } from './pool.js';

export class VulkanDecoder {
  readonly #core = loadNativeCore('native');
  readonly #host: PoolMemory;
  #decoded: Arena | null = null;

  constructor(host: readonly ArenaHandle[]) {
    this.#host = PoolMemory.open(this.#core, host);
  }

  /** @returns values that stay as they are until the next call */
  decode({ source, dtype, count, layout }: StoredTensor): Float32Array {
    const { arena, offset } = this.#host.locate(source);
    const decoded = this.#room(count);
    if (layout) this.#core.decodeMatrix(arena, offset, dtype, layout, decoded, 0);
    else this.#core.widen(arena, offset, dtype, count, decoded, 0);
    return new Float32Array(decoded.buffer, 0, count);
  }

  /** @returns (row, width) of a table whose rows are as wide; stays as it is until the next call */
  rows({ table, dtype, ids }: EmbedCommand, width: number): Float32Array {
    const rowBytes = codecs[dtype].bytes(width);
    const decoded = this.#room(ids.length * width);
    for (let row = 0; row < ids.length; row += 1) {
      const { arena, offset } = this.#host.locate(table + ids[row] * rowBytes);
      this.#core.widen(arena, offset, dtype, width, decoded, f32.bytes(row * width));
    }
    return new Float32Array(decoded.buffer, 0, ids.length * width);
  }

  release(): void {
    this.#decoded?.release();
    this.#host.release();
  }

  #room(count: number): Arena {
    const byteLength = f32.bytes(count);
    if (this.#decoded && this.#decoded.byteLength >= byteLength) return this.#decoded;
    this.#decoded?.release();
    this.#decoded = this.#core.createArena(Math.max(4096, byteLength));
    return this.#decoded;
  }
}
