/** Where displays go: to the front end of the tslab kernel that this process is, else to standard output as text. */

import { createRequire } from 'node:module';
import { sep } from 'node:path';

/** One output in several forms, by MIME type; a front end shows the richest that it knows. */
export type MimeBundle = Readonly<Record<string, unknown>> & { readonly 'text/plain': string };

export interface SendOptions {
  /** Names an output that is going to be updated. */
  readonly displayId?: string;
  /** Whether this replaces what the output of that name showed. @default false */
  readonly isUpdate?: boolean;
}

export type DisplaySink = (bundle: MimeBundle, options?: SendOptions) => void;

/** The part of tslab's `jupyter` module that its own `display` writes through: it takes whole bundles. */
interface TslabModule {
  readonly lastWriteDisplayData: ((data: TslabDisplayData, update: boolean) => void) | null;
}

interface TslabDisplayData {
  readonly data: Readonly<Record<string, unknown>>;
  readonly metadata: Readonly<Record<string, never>>;
  readonly transient: { readonly display_id?: string };
}

/** Looks for the kernel anew each time: every cell of tslab has its own way out. */
export const sendToNotebook: DisplaySink = (bundle, { displayId, isUpdate = false } = {}) => {
  const write = findTslab()?.lastWriteDisplayData;
  if (!write) {
    process.stdout.write(`${bundle['text/plain']}\n`);
    return;
  }
  const transient = displayId === undefined ? {} : { display_id: displayId };
  write({ data: bundle, metadata: {}, transient }, isUpdate);
};

const jupyterModule = ['', 'tslab', 'dist', 'jupyter.js'].join(sep);

/**
 * tslab's public `display.raw` sends one MIME type at a time, so a figure would appear twice. Only a tslab that
 * already runs counts; it is never loaded here.
 */
function findTslab(): TslabModule | undefined {
  const { cache } = createRequire(import.meta.url);
  const path = Object.keys(cache).find((name) => name.endsWith(jupyterModule));
  return path === undefined ? undefined : (cache[path]?.exports as TslabModule);
}
