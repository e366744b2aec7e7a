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
  /** Its blocks are of neighbouring rows instead, where matrices are stored transposed. */
  readonly isAcross?: boolean;
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
  /** Stored transposed, with so many scales from one group of columns to the next; 0 or missing where it is not. */
  readonly groupStride?: number;
  /** What the numbers are less before they are scaled, one for each scale; missing where nothing. */
  readonly zeros?: ZeroPoints;
}

/** Zero points: whole numbers as wide as the weights, in words of neighbouring rows. */
export interface ZeroPoints {
  readonly codec: PointCodec;
  /** Stored transposed, with so many from one group of columns to the next; 0 where it is not. */
  readonly groupStride: number;
  /** Stored less one, in words to each of which a word of ones has to be added. */
  readonly isLessOne: boolean;
}

export type PointCodec = 'int4' | 'int4_awq' | 'int8' | 'int8_packed';

/** A grid and its parts, each in a place of its own. */
export type PlacedScales<Place> = Omit<ScaleGrid, 'zeros'> &
  Place & {
    readonly zeros?: ZeroPoints & Place;
    /** Which group each column belongs to, an int32 for each, where groups are not of neighbours. */
    readonly groupOfColumn?: Place;
  };

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

/** What blocks of so many values in so many bytes take. */
export function blockSizes(
  blockElements: number,
  blockBytes: number,
): Pick<Codec, 'blockElements' | 'bytes' | 'count'> {
  return {
    blockElements,
    bytes: (count) => Math.ceil(count / blockElements) * blockBytes,
    count: (byteLength) => Math.floor(byteLength / blockBytes) * blockElements,
  };
}

/** Decodes one block, which starts at `at`, to `values` from `to` on. */
export type DecodeBlock = (stored: Uint8Array, at: number, values: Float32Array, to: number) => void;

/** A codec of blocks with their scales inside. */
export function blockCodec(blockElements: number, blockBytes: number, decodeBlock: DecodeBlock): Codec {
  return {
    ...blockSizes(blockElements, blockBytes),
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

/** A number of 16 bits for each value. A loop: `Uint16Array.from` asks an iterator for every one of them. */
export function narrowed(values: Float32Array, narrow: (value: number) => number): Uint16Array {
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < halves.length; i += 1) halves[i] = narrow(values[i]);
  return halves;
}

export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
