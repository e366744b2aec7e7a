export { cellOutput, runState, runsState, storeOf, sweepState } from './cell-output.js';
export { describeDecode, joinWords } from './sentences.js';
