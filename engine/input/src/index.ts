/** What reads, shows and answers the words of strangers; imports nothing of the lab, so that every package may import it. */

export { hasCode, reasonOf, UserError } from './errors.js';
export {
  decodeUtf8,
  maybeReadBytes,
  maybeReadJson,
  maybeReadText,
  maybeReadTextSync,
  statFile,
} from './files.js';
export {
  assertPlain,
  defaultMaxDepth,
  isDeeperThan,
  isRecord,
  type JsonLimits,
  type JsonRecord,
  parseJson,
} from './json.js';
export { withJsonFields, withoutJsonField } from './json-fields.js';
export { toJsonSchema } from './json-schema.js';
export { findRoundedNumber, parseNumber } from './numbers.js';
export { parseQuantity, type Unit } from './quantity.js';
export {
  type Checked,
  type CheckedFields,
  check,
  type MissableSchema,
  type Schema,
} from './schema.js';
export { currentSignal, publishSignal } from './signal.js';
export { explainSystemError, isSystemError } from './system.js';
export { printable, printableJson, printableLines, quote } from './text.js';
export { withinTime } from './time.js';
export * as is from './words.js';
export { listWords } from './words.js';
export { assertCanWrite, makeFolder, makeTemporaryFolder, writeWholeFile } from './write.js';
