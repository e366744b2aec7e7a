import { lstat, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { assertWritable, saveFile } from '../../kernel/src/notebook/save.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-save-'));
  await writeFile(join(folder, 'file'), 'before');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it.each([
  ['below a file', 'file/x', 'ENOTDIR'],
  ['a folder', '.', 'it is a folder'],
  ['a device', '/dev/full', 'it is a device or a pipe, no regular file'],
  ['a place without files', '/proc/x', 'ENOENT'],
  ['a name that is too long', 'x'.repeat(256), 'ENAMETOOLONG'],
])('%s is refused, before and when it is written', async (_what, place, reason) => {
  const path = place.startsWith('/') ? place : join(folder, place);
  for (const write of [() => assertWritable(path), () => saveFile(path, 'text')])
    await expect(write()).rejects.toThrow(
      new RegExp(`^cannot write \\S+: .*${reason}.*; name a file in a folder that can be written$`),
    );
  expect(await readdir(folder)).toEqual(['file']);
});

it('a trial leaves no trace, and what is there untouched', async () => {
  await assertWritable(join(folder, 'file'));
  await assertWritable(join(folder, 'new'));
  expect(await readdir(folder)).toEqual(['file']);
  expect(await readFile(join(folder, 'file'), 'utf8')).toBe('before');
});

it('a link stays a link', async () => {
  await symlink('file', join(folder, 'link'));
  await saveFile(join(folder, 'link'), 'after');
  expect((await lstat(join(folder, 'link'))).isSymbolicLink()).toBe(true);
  expect(await readFile(join(folder, 'file'), 'utf8')).toBe('after');
});
