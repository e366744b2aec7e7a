/** Where the browser of this machine lies. */

import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** The path of Chromium or Chrome; null where there is none on PATH. */
export async function findChromium(path = process.env.PATH ?? ''): Promise<string | null> {
  for (const directory of path.split(delimiter).filter((part) => part !== ''))
    for (const name of names) {
      const candidate = join(directory, name);
      const isThere = await access(candidate, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (isThere) return candidate;
    }
  return null;
}
