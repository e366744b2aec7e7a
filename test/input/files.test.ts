import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  assertCanWrite,
  decodeUtf8,
  explainSystemError,
  makeFolder,
  makeTemporaryFolder,
  maybeReadBytes,
  maybeReadJson,
  maybeReadText,
  maybeReadTextSync,
  UserError,
  writeWholeFile,
} from '../../engine/input/src/index.js';

const folder = mkdtempSync(join(tmpdir(), 'specoffload-input-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const place = (name: string) => join(folder, name);

writeFileSync(place('text'), '\ufeffhello');
writeFileSync(place('latin'), Buffer.from([0x68, 0xe9]));
execFileSync('mkfifo', [place('pipe')]);
symlinkSync('circle', place('circle'));
symlinkSync('nothing', place('dangling'));
mkdirSync(place('folder'));

const readers = {
  maybeReadText: (path: string) => maybeReadText(path, 100),
  maybeReadTextSync: async (path: string) => maybeReadTextSync(path, 100),
};

describe.each(Object.entries(readers))('%s', (_name, read) => {
  it('reads a text, without its byte-order mark', async () => {
    expect(await read(place('text'))).toBe('hello');
  });

  it.each(['missing', 'text/deeper', 'dangling'])('says null of %s', async (name) => {
    expect(await read(place(name))).toBeNull();
  });

  it.each([
    ['pipe', 'is not a regular file; expected one'],
    ['folder', 'is not a regular file; expected one'],
    ['circle', 'its links lead in a circle (ELOOP)'],
    ['latin', 'is not UTF-8 text; save it as UTF-8'],
    ['a\0b', 'no file can have a name with a null character'],
    ['x'.repeat(300), 'its name is too long (ENAMETOOLONG)'],
  ])('refuses %s at once', async (name, message) => {
    const reading = read(place(name));
    await expect(reading).rejects.toThrow(UserError);
    await expect(reading).rejects.toThrow(message);
  });
});

it('refuses a file that is larger than its name promises', async () => {
  await expect(maybeReadBytes(place('text'), 7)).rejects.toThrow('text has 8 bytes; expected at most 7');
  await expect(maybeReadBytes('/dev/zero', 7)).rejects.toThrow('is not a regular file');
});

it('reads JSON, and says what to do about what is none', async () => {
  writeFileSync(place('x.json'), '{"a": 1}');
  expect(await maybeReadJson(place('x.json'), 100)).toEqual({ a: 1 });
  await expect(maybeReadJson(place('text'), 100, {}, 'mend it')).rejects.toThrow(/valid JSON .*; mend it$/);
});

it('decodes nothing but UTF-8', () => {
  expect(decodeUtf8(Buffer.from('é'), 'x')).toBe('é');
  expect(() => decodeUtf8(Uint8Array.of(0xff), 'x')).toThrow('x is not UTF-8 text');
});

describe('writeWholeFile', () => {
  const alone = (name: string) => readdirSync(place(name)).filter((file) => file.startsWith('.'));

  it('writes a file and its folders, and leaves nothing else', async () => {
    await writeWholeFile(place('new/deep/file'), 'one');
    await writeWholeFile(place('new/deep/file'), Buffer.from('two'));
    expect(readFileSync(place('new/deep/file'), 'utf8')).toBe('two');
    expect(readdirSync(place('new/deep'))).toEqual(['file']);
  });

  it('keeps the permissions of what it replaces', async () => {
    writeFileSync(place('private'), 'old', { mode: 0o600 });
    await writeWholeFile(place('private'), 'new');
    expect(statSync(place('private')).mode & 0o777).toBe(0o600);
  });

  it('replaces what a link leads to, not the link', async () => {
    symlinkSync('linked', place('link'));
    writeFileSync(place('linked'), 'old');
    await writeWholeFile(place('link'), 'new');
    expect(readFileSync(place('linked'), 'utf8')).toBe('new');
  });

  it('writes a name as long as the system allows', async () => {
    await writeWholeFile(place('n'.repeat(255)), 'x');
    expect(readFileSync(place('n'.repeat(255)), 'utf8')).toBe('x');
  });

  it('writes to a device as it is', async () => {
    await writeWholeFile('/dev/null', 'x');
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
  });

  it.each([
    ['/proc/nowhere/deeper/file', 'there is no such file or folder (ENOENT)'],
    ['/dev/full', 'no space is left (ENOSPC)'],
    [place('folder'), 'it is a folder; name a file in it'],
    [place('text/deeper'), 'a part of its path is no folder (ENOTDIR)'],
    [place('dangling'), 'it is a link to nothing'],
    [place('circle'), 'its links lead in a circle (ELOOP)'],
    [place('pipe'), 'nobody is at its other end (ENXIO)'],
    [place('a\0b'), 'no file can have a name with a null character'],
  ])('refuses %s in one sentence', async (path, message) => {
    const writing = writeWholeFile(path, 'x');
    await expect(writing).rejects.toThrow(UserError);
    await expect(writing).rejects.toThrow(message);
  });

  it.skipIf(process.getuid?.() === 0)('loses nothing where it may not write', async () => {
    mkdirSync(place('locked'));
    writeFileSync(place('locked/file'), 'old');
    chmodSync(place('locked'), 0o500);
    await expect(writeWholeFile(place('locked/file'), 'new')).rejects.toThrow('permission denied (EACCES)');
    chmodSync(place('locked'), 0o700);
    expect(readFileSync(place('locked/file'), 'utf8')).toBe('old');
    expect(alone('locked')).toEqual([]);
  });

  it('refuses devices where a file is wanted', async () => {
    await expect(writeWholeFile('/dev/null', 'x', { isFile: true })).rejects.toThrow(
      'it is a device or a pipe',
    );
  });

  it('can be tried before there is anything to write', async () => {
    await assertCanWrite(place('new/other'));
    expect(readdirSync(place('new'))).toEqual(['deep']);
    await expect(assertCanWrite('/proc/nowhere/file', { remedy: 'choose another --out' })).rejects.toThrow(
      /^cannot write \/proc\/nowhere\/file: .* \(ENOENT\); choose another --out$/,
    );
  });
});

it('makes folders side by side with others that make them', async () => {
  await Promise.all(Array.from({ length: 20 }, () => makeFolder(place('shared/a/b/c'))));
  expect(statSync(place('shared/a/b/c')).isDirectory()).toBe(true);
});

it('makes a temporary folder, and says which variable chooses its place', async () => {
  const before = process.env.TMPDIR;
  try {
    process.env.TMPDIR = place('temporary');
    await expect(makeTemporaryFolder('x')).rejects.toThrow(
      /^cannot make a temporary folder in .*temporary: .*ENOENT.*; set TMPDIR to a folder that can be written$/,
    );
    await makeFolder(place('temporary'));
    const folder = await makeTemporaryFolder('x');
    expect(folder.startsWith(place('temporary/specoffload-x-'))).toBe(true);
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  }
});

describe('explainSystemError', () => {
  const failure = (code: string) =>
    Object.assign(new Error(code), { code, syscall: 'fsync', path: 'a\u001b' });

  it.each(['EIO', 'ENOSPC', 'EROFS', 'EFBIG', 'EMFILE', 'EACCES', 'ENOENT', 'EDQUOT', 'EWHATEVER'])(
    'says %s in a sentence',
    (code) => {
      const explained = explainSystemError(failure(code), 'write x');
      expect(explained).toBeInstanceOf(UserError);
      expect((explained as Error).message).toMatch(
        new RegExp(`^cannot write x: [a-z, -]+ \\(${code}\\); [a-z ]+`),
      );
    },
  );

  it('says what was tried where nobody else does', () => {
    expect((explainSystemError(failure('EIO')) as Error).message).toMatch(/^cannot flush a·: the disk/);
    const gone = Object.assign(new Error('ENOENT'), { code: 'ENOENT', syscall: 'uv_cwd' });
    expect((explainSystemError(gone) as Error).message).toMatch(
      /^cannot find the folder that the command runs in: there is no such file or folder \(ENOENT\);/,
    );
  });

  it('says what keeps a thread from starting', () => {
    const failed = new Error('Worker initialization failure: EMFILE');
    expect((explainSystemError(failed) as Error).message).toBe(
      'cannot start a thread: too many files are open (EMFILE); raise the limit (ulimit -n), or run less at once',
    );
    const relayed = new Error("EMFILE: too many open files, open '/a/b.js'");
    expect((explainSystemError(relayed) as Error).message).toMatch(
      /^cannot open \/a\/b.js: too many files are open \(EMFILE\);/,
    );
  });

  it('leaves a failure of the program as it is', () => {
    const defect = new TypeError('x is not a function');
    expect(explainSystemError(defect)).toBe(defect);
  });
});
