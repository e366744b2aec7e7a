/** What a codec is: how a checkpoint stores weights, and how they become fp32. */

/**
 * The native core decodes by the codec's name (`widen.h`); what is written here is its twin, and decides sizes for
 * everybody.
 */
export interface Codec {
  /** What safetensors calls it. */
  readonly storedName: string;
  /** Values that lie or are scaled together: a tensor can be cut at multiples of it only. */
  readonly blockElements: number;
  /** Bytes of so many values. */
  bytes(count: number): number;
  /** Whole values in so many bytes. */
  count(byteLength: number): number;
  /** Little-endian values at any address to fp32 bit patterns: arithmetic could change a NaN's. Mutates `bits`. */
  decode(stored: Uint8Array, bits: Uint32Array): void;
  /** The inverse, rounding to nearest, ties to even. */
  encode(values: Float32Array): Uint8Array;
}

/** A codec whose values stand each by itself, `elementBytes` wide. */
export function plainCodec(
  storedName: string,
  elementBytes: number,
  { decode, encode }: Pick<Codec, 'decode' | 'encode'>,
): Codec {
  return {
    ...{ storedName, blockElements: 1, decode, encode },
    bytes: (count) => count * elementBytes,
    count: (byteLength) => Math.floor(byteLength / elementBytes),
  };
}

/** 16-bit words at any address: a view where the address allows one, else a copy. */
export function halvesOf({ buffer, byteOffset, byteLength }: Uint8Array): Uint16Array {
  if (byteOffset % 2 === 0) return new Uint16Array(buffer, byteOffset, byteLength / 2);
  return new Uint16Array(Uint8Array.from(new Uint8Array(buffer, byteOffset, byteLength)).buffer);
}

export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
