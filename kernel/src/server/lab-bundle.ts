/** The lab's packages as cells get them: in a few files, since to link 300 modules takes longer than most cells do. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterWorkspaces, kernelDirectory } from '../packages.js';

const folder = join(kernelDirectory, '..', 'experiments', 'dist', 'for-cells');

/** What to load for what a cell asks for: the same, but for the lab's own packages where they are bundled. */
export function orBundled(request: string, resolve: (request: string) => string): string {
  const workspace = /^@specoffload\/(engine|experiments)$/.exec(request)?.[1];
  if (workspace === undefined) return request;
  const file = join(folder, `${workspace}.js`);
  return isOwn(request, workspace, resolve) && existsSync(file) ? file : request;
}

/** A notebook may have one of its own beside it. */
function isOwn(request: string, workspace: string, resolve: (request: string) => string): boolean {
  try {
    return afterWorkspaces(resolve(request).replaceAll('\\', '/')) === `/${workspace}/dist/index.js`;
  } catch {
    return false;
  }
}
