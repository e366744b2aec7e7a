/** What the two threads of a kernel say to each other: one runs the cells, the other holds the sockets and never waits. */

import type { ChannelName, ConnectionInfo } from '../wire/connection.js';
import type { Message } from '../wire/message.js';

/** Channels on which requests come. */
export type RequestChannel = Extract<ChannelName, 'shell' | 'control' | 'stdin'>;

export type FromWire =
  | { readonly kind: 'bound' }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'request'; readonly channel: RequestChannel; readonly request: Message }
  /** Answered with `interrupted`, at once if this thread is free to. */
  | { readonly kind: 'interrupt' }
  | { readonly kind: 'ended' };

export type ToWire =
  | {
      readonly kind: 'send';
      readonly channel: RequestChannel | 'iopub';
      readonly frames: readonly (Uint8Array | string)[];
    }
  | { readonly kind: 'interrupted' };

export interface WireData {
  readonly connection: ConnectionInfo;
  /** Shared: bytes that cells have published and the thread with the sockets has not sent. */
  readonly unsentBytes: Int32Array;
  /** The process that started the kernel and shall not be outlived; null: whoever is its parent now, or nobody. */
  readonly starterPid: number | null;
}

export function sizeOfFrames(frames: readonly (Uint8Array | string)[]): number {
  return frames.reduce((sum, frame) => sum + frame.length, 0);
}

/** The thread with the sockets, as the thread with the cells sees it. */
export interface Wire {
  send(message: ToWire): void;
  /** From now on, and what has come before. */
  onMessage(listener: (message: FromWire) => void): void;
}
