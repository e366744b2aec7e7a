/** What reads and shows the words of strangers; imports nothing of the lab, so that every package may import it. */

export { hasCode, reasonOf, UserError } from './errors.js';
export { decodeUtf8, maybeReadJson, maybeReadText, statFile } from './files.js';
export {
  defaultMaxDepth,
  isDeeperThan,
  isRecord,
  type JsonLimits,
  type JsonRecord,
  parseJson,
} from './json.js';
export { printable, printableLines, quote } from './text.js';
export { withinTime } from './time.js';
