/**
 * onnxruntime, kept from phoning home: since 1.30 its library looks a host up, reports there, and leaves an identity
 * and a database below the home folder and a log in the folder for temporary files. It reads the switch once, when
 * it is loaded, so nothing else in the lab may import it.
 */

import { createRequire } from 'node:module';
import type { NativeCore } from '@specoffload/native';

export type { InferenceSession, Tensor } from 'onnxruntime-node';

type Onnxruntime = typeof import('onnxruntime-node');

let loaded: Onnxruntime | null = null;

/** For who first needs a product of it: many runs need none. */
export function loadOnnxruntime(core: NativeCore): Onnxruntime {
  if (loaded) return loaded;
  core.setVariable('ORT_DISABLE_TELEMETRY', '1');
  loaded = createRequire(import.meta.url)('onnxruntime-node') as Onnxruntime;
  return loaded;
}
