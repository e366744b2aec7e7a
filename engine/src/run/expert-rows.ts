/** The rows that chose each expert, as lists on the device or on their way to it. */

import type { NumbersOnDevice } from '../machine/device.js';
import { ffnChunkRows } from '../schedule/memory-plan.js';

/** Some rows, and what an expert's output for each is multiplied with. */
export interface ExpertRows {
  readonly indices: Int32Array | NumbersOnDevice;
  readonly scales: Float32Array | NumbersOnDevice;
}

/** Of every expert, one's behind the other's. */
export interface RowsByExpert extends ExpertRows {
  readonly counts: readonly number[]; // (expert)
}

export function rowsOf({ counts, indices, scales }: RowsByExpert, expert: number): ExpertRows {
  let start = 0;
  for (let before = 0; before < expert; before += 1) start += counts[before];
  const end = start + counts[expert];
  return { indices: partOf(indices, start, end), scales: partOf(scales, start, end) };
}

/** A dense FFN is one expert that every row chooses. */
export function everyRow(rows: number): RowsByExpert {
  return {
    counts: [rows],
    indices: Int32Array.from({ length: rows }, (_, row) => row),
    scales: new Float32Array(rows).fill(1),
  };
}

/** An expert's rows in pieces that the scratch memory of an FFN holds. */
export function inChunks({ indices, scales }: ExpertRows): ExpertRows[] {
  const chunks: ExpertRows[] = [];
  for (let start = 0; start < indices.length; start += ffnChunkRows) {
    const end = Math.min(start + ffnChunkRows, indices.length);
    chunks.push({ indices: partOf(indices, start, end), scales: partOf(scales, start, end) });
  }
  return chunks;
}

/** Rows of a frame, the first of which is at a place in what is computed at once. */
export interface FrameRows {
  readonly frame: number;
  readonly first: number;
  readonly rows: ExpertRows;
}

/** The same of several frames, one behind the other. */
export function inChunksOfFrames(
  frames: readonly Pick<FrameRows, 'frame' | 'rows'>[],
): (readonly FrameRows[])[] {
  const chunks: (readonly FrameRows[])[] = [];
  let chunk: FrameRows[] = [];
  let filled = 0;
  for (const { frame, rows } of frames) {
    const { indices, scales } = rows;
    for (let start = 0; start < indices.length; ) {
      const end = Math.min(start + ffnChunkRows - filled, indices.length);
      const part = { indices: partOf(indices, start, end), scales: partOf(scales, start, end) };
      chunk.push({ frame, first: filled, rows: part });
      filled += end - start;
      start = end;
      if (filled < ffnChunkRows) continue;
      chunks.push(chunk);
      [chunk, filled] = [[], 0];
    }
  }
  if (filled > 0) chunks.push(chunk);
  return chunks;
}

function partOf<List extends Int32Array | Float32Array>(
  list: List | NumbersOnDevice,
  start: number,
  end: number,
): List | NumbersOnDevice {
  if (!('address' in list)) return list.subarray(start, end) as List;
  return { address: list.address + 4 * start, length: end - start };
}
