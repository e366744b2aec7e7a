/** What a record says of a model. */

import { is } from '@specoffload/input';
import { codecs } from '@specoffload/native';
import { count, digest } from './words.js';

const { anyText, described, oneOf, orMissing, picked } = is;

/** The same for models that hold the same numbers, which write the same tokens. */
export function contentsOf(model: {
  readonly digest: string;
  readonly packedFrom?: string | undefined;
}): string {
  return model.packedFrom ?? model.digest;
}

export const modelRecord = (role: string) =>
  picked({
    name: described(anyText, '', `name of the ${role} model`),
    parameters: count,
    bytes: described(count, 'B', 'as stored'),
    digest: described(digest, '', 'sha256 over configuration, tensor headers and file sizes'),
    format: described(
      orMissing(oneOf(Object.keys(codecs))),
      '',
      'how most of its bytes are stored; left out where that is bf16, fp16 or fp32, and in records of earlier versions',
    ),
    packedFrom: described(
      orMissing(digest),
      '',
      'digest of the model in bf16 whose weights these are, packed without loss; left out otherwise',
    ),
  });
