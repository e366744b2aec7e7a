/** Rates that a run's lanes are slowed down to, so that this machine stands for a slower one. */

/** In bytes or floating-point operations per second; null: as fast as the machine goes. */
export interface Caps {
  /** The link: stored weights, and whatever else crosses it. */
  readonly linkBytesPerSecond: number | null;
  /** The disk: all that is read from it. */
  readonly diskBytesPerSecond: number | null;
  /** The host's attention, by the KV cache that it reads. */
  readonly hostCacheBytesPerSecond: number | null;
  /** The link, for KV cache on its way to the device alone. */
  readonly linkCacheBytesPerSecond: number | null;
  /** The experts that the host computes, by their arithmetic. */
  readonly hostFlopsPerSecond: number | null;
  /** The same experts by the weights that they read, as wide as they are computed with: what bounds few rows. */
  readonly hostWeightBytesPerSecond: number | null;
  /** A draft model, by its arithmetic on the device: what makes this machine's device fast against it. */
  readonly draftFlopsPerSecond: number | null;
}

export const noCaps: Caps = {
  linkBytesPerSecond: null,
  diskBytesPerSecond: null,
  hostCacheBytesPerSecond: null,
  linkCacheBytesPerSecond: null,
  hostFlopsPerSecond: null,
  hostWeightBytesPerSecond: null,
  draftFlopsPerSecond: null,
};
