/** What a codec is: how a checkpoint stores weights, and how they become fp32. */

/**
 * The native core decodes by the codec's name (`widen.h`); what is written here is its twin, and decides sizes for
 * everybody.
 */
export interface Codec {
  /** What safetensors calls it, where it is a type of that format. */
  readonly storedName?: string;
  /** Values that lie or are scaled together: a tensor can be cut at multiples of it only, and so are its rows. */
  readonly blockElements: number;
  /** The codec keeps its scales apart: how many values share one where nobody says otherwise. */
  readonly scales?: ScaleGrid;
  /** Bytes of so many values, without scales that lie apart. */
  bytes(count: number): number;
  /** Whole values in so many bytes. */
  count(byteLength: number): number;
  /** Little-endian values at any address to fp32 bit patterns: arithmetic could change a NaN's. Mutates `bits`. */
  decode(stored: Uint8Array, bits: Uint32Array): void;
}

/** A codec that weights can be written with, too. */
export interface PlainCodec extends Codec {
  readonly storedName: string;
  /** Rounds to nearest, ties to even. */
  encode(values: Float32Array): Uint8Array;
}

/** Scales in a part of their own: one for so many rows by so many columns. */
export interface ScaleGrid {
  readonly dtype: ScaleDtype;
  /** Infinity for all of them. */
  readonly rows: number;
  readonly columns: number;
}

/** `e8m0` is an exponent alone: a power of two. */
export type ScaleDtype = 'f32' | 'bf16' | 'f16' | 'e8m0';

/** A codec whose values stand each by itself, `elementBytes` wide. */
export function plainCodec(
  storedName: string,
  elementBytes: number,
  { decode, encode }: Pick<PlainCodec, 'decode' | 'encode'>,
): PlainCodec {
  return {
    ...{ storedName, blockElements: 1, decode, encode },
    bytes: (count) => count * elementBytes,
    count: (byteLength) => Math.floor(byteLength / elementBytes),
  };
}

/** Decodes one block, which starts at `at`, to `values` from `to` on. */
export type DecodeBlock = (stored: Uint8Array, at: number, values: Float32Array, to: number) => void;

/** A codec of blocks with their scales inside. */
export function blockCodec(blockElements: number, blockBytes: number, decodeBlock: DecodeBlock): Codec {
  return {
    blockElements,
    bytes: (count) => Math.ceil(count / blockElements) * blockBytes,
    count: (byteLength) => Math.floor(byteLength / blockBytes) * blockElements,
    decode(stored, { buffer, byteOffset, length }) {
      const values = new Float32Array(buffer, byteOffset, length);
      for (let block = 0; block * blockElements < length; block += 1)
        decodeBlock(stored, block * blockBytes, values, block * blockElements);
    },
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
