/** What carrying a whole group asks of a disk and of a link. */

import type { GroupLayout } from './group-layout.js';
import type { LoadOp, UploadOp } from './ops.js';

export function loadOp({ ranges }: GroupLayout, hostBase: number): LoadOp {
  return {
    kind: 'load',
    ranges: ranges.map(({ path, fileOffset, byteLength, stagedOffset }) => ({
      path,
      fileOffset,
      byteLength,
      hostOffset: hostBase + stagedOffset,
    })),
  };
}

export function uploadOp({ pieces }: Pick<GroupLayout, 'pieces'>, host: number, device: number): UploadOp {
  return { kind: 'upload', pieces, host, device };
}
