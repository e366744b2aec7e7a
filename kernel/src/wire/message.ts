/**
 * Messages of the Jupyter wire protocol 5.3: frames in, frames out. A signature is checked before anything is parsed.
 *
 * https://jupyter-client.readthedocs.io/en/stable/messaging.html#the-wire-protocol
 */

import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { check, decodeUtf8, is, type JsonRecord, parseJson } from '@specoffload/input';
import { NotebookError } from '../errors.js';
import type { JsonObject } from '../json.js';

export interface MessageHeader {
  readonly msg_id: string;
  readonly msg_type: string;
  readonly session: string;
  readonly username: string;
  /** ISO 8601. */
  readonly date: string;
  readonly version: string;
}

export interface Message {
  /** Routing prefix: who a router heard this from, or the topic of a publisher. */
  readonly identities: readonly Uint8Array[];
  readonly header: MessageHeader;
  /** The header of the request that caused this message. */
  readonly parent: MessageHeader | null;
  readonly metadata: JsonObject;
  readonly content: JsonObject;
}

const protocolVersion = '5.3';
const delimiter = Buffer.from('<IDS|MSG>');

export function createHeader(type: string, session: string): MessageHeader {
  return {
    msg_id: randomUUID(),
    msg_type: type,
    session,
    username: 'specoffload',
    date: new Date().toISOString(),
    version: protocolVersion,
  };
}

export function createRequest(type: string, session: string, content: JsonObject): Message {
  return { identities: [], header: createHeader(type, session), parent: null, metadata: {}, content };
}

/** A message caused by `request`; it goes back to where the request came from. */
export function createResponse(request: Message, type: string, content: JsonObject): Message {
  return {
    identities: request.identities,
    header: createHeader(type, request.header.session),
    parent: request.header,
    metadata: {},
    content,
  };
}

export function encodeMessage(message: Message, key: string): (Uint8Array | string)[] {
  const parts = [message.header, message.parent ?? {}, message.metadata, message.content].map((part) =>
    Buffer.from(JSON.stringify(part)),
  );
  return [...message.identities, delimiter, sign(parts, key), ...parts];
}

/** @throws NotebookError when the frames are no message or were not signed with `key`. */
export function decodeMessage(frames: readonly Uint8Array[], key: string): Message {
  const border = frames.findIndex((frame) => delimiter.equals(frame));
  if (border < 0 || frames.length < border + 6)
    throw new NotebookError('invalid Jupyter message: expected a delimiter, a signature and four parts');
  const parts = frames.slice(border + 2);
  if (!isSame(Buffer.from(sign(parts, key)), frames[border + 1]))
    throw new NotebookError('invalid Jupyter message: its signature does not match the connection key');
  const [header, parent, metadata, content] = parts.slice(0, 4).map(parsePart) as [unknown, ...JsonRecord[]];
  return {
    identities: frames.slice(0, border),
    header: check(headerSchema, header, source, { whole: 'header' }) as MessageHeader,
    parent: typeof parent!.msg_id === 'string' ? (parent as unknown as MessageHeader) : null,
    metadata: metadata!,
    content: content!,
  };
}

const source = 'a Jupyter message';
/** Whatever else a header says is given back and not looked at. */
const headerSchema = is.fields({ msg_type: is.anyText, msg_id: is.anyText });

/** An empty key means that messages are not signed. */
function sign(parts: readonly Uint8Array[], key: string): string {
  if (key === '') return '';
  const hash = createHmac('sha256', key);
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function parsePart(part: Uint8Array): JsonRecord {
  return check(is.object, parseJson(decodeUtf8(part, source), source), source, { whole: 'part' });
}
