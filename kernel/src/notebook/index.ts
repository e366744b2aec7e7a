export type { CellFailure } from './cell.js';
export {
  type Cell,
  type CellOutput,
  type CodeCell,
  type Notebook,
  parseNotebook,
  readNotebook,
  serializeNotebook,
  type TextCell,
} from './format.js';
export * from './literal.js';
export type { Parameters } from './parameters.js';
export * from './run.js';
export { assertWritable, saveNotebook } from './save.js';
