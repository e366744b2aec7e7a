export { cellOutput, runState, storeOf, sweepState } from './cell-output.js';
export { describeDecode, joinWords } from './sentences.js';
