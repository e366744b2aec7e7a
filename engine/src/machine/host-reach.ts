/** Which host memory a device's kernels read where it lies: what it reaches in one piece. */

export interface HostReach {
  /** A host pool's addresses count through banks, and each is reached in pieces from its start on. */
  readonly bankBytes: number;
  readonly pieceBytes: number;
}

export function reaches(reach: HostReach | null, address: number, byteLength: number): boolean {
  if (!reach) return false;
  const from = address % reach.bankBytes;
  return Math.floor(from / reach.pieceBytes) === Math.floor((from + byteLength - 1) / reach.pieceBytes);
}
