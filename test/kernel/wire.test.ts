import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  addressOf,
  type ConnectionInfo,
  channelNames,
  createConnection,
  readConnectionFile,
  writeConnectionFile,
} from '../../kernel/src/wire/connection.js';
import {
  createRequest,
  createResponse,
  decodeMessage,
  encodeMessage,
  type Message,
} from '../../kernel/src/wire/message.js';

const key = 'a key';
const request = createRequest('execute_request', 'session', { code: 'größer > 1 // 🙂' });

function toFrames(message: Message, signingKey = key): Uint8Array[] {
  return encodeMessage(message, signingKey).map((frame) => Buffer.from(frame as Uint8Array));
}

describe('messages', () => {
  it('come back as they were sent, with their routing prefix', () => {
    const response = createResponse({ ...request, identities: [Buffer.from('front end')] }, 'status', {
      a: 1,
    });
    expect(decodeMessage(toFrames(response), key)).toEqual(response);
    expect(decodeMessage(toFrames(request), key)).toEqual(request);
  });

  it('are not signed without a key', () => {
    expect(decodeMessage(toFrames(request, ''), '')).toEqual(request);
  });

  it('are signed as Jupyter signs them', () => {
    const header = { msg_id: '1', msg_type: 't', session: 's', username: 'u', date: 'd', version: '5.3' };
    const frames = encodeMessage({ ...request, header, content: {} }, 'secret');
    // printf '%s{}{}{}' '{…the header…}' | openssl dgst -sha256 -hmac secret
    expect(frames[1]).toBe('52057f0fa6579fbfd275dbbfedfe647013003ba1e238cd3f723057738b7cff00');
  });

  const spoiled: readonly (readonly [what: string, frames: Uint8Array[], message: string])[] = [
    ['another key', toFrames(request, 'another key'), 'its signature does not match'],
    ['no signature', toFrames(request, ''), 'its signature does not match'],
    [
      'content changed on the way',
      toFrames(request).with(-1, Buffer.from('{}')),
      'its signature does not match',
    ],
    ['content that is no JSON', toFrames(request).with(-1, Buffer.from('{')), 'its signature does not match'],
    ['a part missing', toFrames(request).slice(0, -1), 'expected a delimiter, a signature and four parts'],
    ['no delimiter', toFrames(request).slice(1), 'expected a delimiter, a signature and four parts'],
    ['nothing', [], 'expected a delimiter, a signature and four parts'],
  ];
  it.each(spoiled)('are refused with %s', (_what, frames, message) => {
    expect(() => decodeMessage(frames, key)).toThrow(message);
  });
});

describe('connection files', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'specoffload-wire-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('name five different ports and a fresh key, for this user alone', async () => {
    const [connection, another] = await Promise.all([createConnection(), createConnection()]);
    const ports = channelNames.map((channel) => connection[`${channel}_port`]);
    expect(new Set(ports).size).toBe(5);
    expect(connection.key).toMatch(/^[0-9a-f]{64}$/);
    expect(another.key).not.toBe(connection.key);
    const path = join(folder, 'connection.json');
    await writeConnectionFile(connection, path);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(readConnectionFile(path)).toEqual(connection);
    await expect(writeConnectionFile(connection, path)).rejects.toThrow('EEXIST');
  });

  it('become addresses of either transport', async () => {
    const connection: ConnectionInfo = { ...(await createConnection()), shell_port: 7 };
    expect(addressOf(connection, 'shell')).toBe('tcp://127.0.0.1:7');
    expect(addressOf({ ...connection, transport: 'ipc', ip: '/run/k' }, 'shell')).toBe('ipc:///run/k-7');
  });

  const wrong: readonly (readonly [text: string, message: string])[] = [
    ['{', 'is not valid JSON'],
    ['[]', 'invalid content: []; expected an object; give a connection file that Jupyter wrote'],
    ['{}', 'invalid shell_port: missing; expected a port from 1 to 65535'],
    [
      JSON.stringify({ shell_port: 1, iopub_port: 2, stdin_port: 3, control_port: 4 }),
      'invalid hb_port: missing; expected',
    ],
    ...[-1, 0, 65_536, 99_999, 1.5, '1'].map((port): readonly [string, string] => [
      JSON.stringify({ shell_port: port }),
      `invalid shell_port: ${JSON.stringify(port)}; expected a port from 1 to 65535`,
    ]),
  ];
  it.each(wrong)('are refused when they are %s', async (text, message) => {
    const path = join(folder, 'wrong.json');
    await writeFile(path, text);
    expect(() => readConnectionFile(path)).toThrow(message);
  });
});
