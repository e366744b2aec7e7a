/** What carrying a whole group asks of a disk and of a link. */

import type { GroupLayout } from './group-layout.js';
import type { LoadOp, UploadOp } from './ops.js';

export function loadOp({ ranges }: GroupLayout, hostBase: number): LoadOp {
  return {
    kind: 'load',
    ranges: ranges.map(({ path, fileOffset, byteLength, stagedOffset }) => ({
      ...{ path, fileOffset, byteLength },
      hostOffset: hostBase + stagedOffset,
    })),
  };
}

export function uploadOp(
  { pieces }: Pick<GroupLayout, 'pieces'>,
  hostBase: number,
  deviceBase: number,
): UploadOp {
  return {
    kind: 'upload',
    pieces: pieces.map(({ dtype, count, layout, runs, stagedOffset, deviceOffset }) => ({
      ...{ dtype, count, layout, runs },
      source: hostBase + stagedOffset,
      target: deviceBase + deviceOffset,
    })),
  };
}
